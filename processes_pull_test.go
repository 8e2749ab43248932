package mstore_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"golang.org/x/sync/errgroup"

	"github.com/mstore/mstore"
	"github.com/mstore/mstore/internal/faultserver"
	"github.com/mstore/mstore/manifest"
)

// origin is a registry that counts the bytes of files that it serves, as fast as its rate allows each connection.
//
// It writes little at a time and looks first whether the client is there: what was sent to a process that is dead
// already was not fetched by it.
type origin struct {
	*fake
	rate int // bytes per second
	sent atomic.Int64
	open chan struct{} // not nil: closed when files may be had; guarded by the mutex of fake
}

func newOrigin(t *testing.T, rate int) *origin {
	t.Helper()
	return &origin{fake: newFake(t), rate: rate}
}

// model serves a model under a tag that has a file for each of the contents.
func (o *origin) model(t *testing.T, tag string, files ...*faultserver.Generated) (ref string) {
	t.Helper()
	var draft manifest.Draft
	for i, c := range files {
		d := digest.Digest(c.Digest())
		o.serve(d, func(w http.ResponseWriter, r *http.Request, _ int) { o.send(w, r, c) })
		draft.Files = append(draft.Files, manifest.File{
			Path:       fmt.Sprintf("file-%04d.bin", i),
			Descriptor: ocispec.Descriptor{MediaType: "application/octet-stream", Digest: d, Size: c.Size()},
		})
	}
	m, config, err := manifest.Build(draft)
	try(t, err)
	o.blob(config)
	o.manifest(tag, m.Descriptor.MediaType, m.Raw)
	return o.Host + "/m:" + tag
}

// send answers with a range of a file, or all of it.
func (o *origin) send(w http.ResponseWriter, r *http.Request, c *faultserver.Generated) {
	o.mu.Lock()
	open := o.open
	o.mu.Unlock()
	if open != nil {
		select {
		case <-open:
		case <-r.Context().Done():
			return
		}
	}
	from, to := int64(0), c.Size()-1
	if n, _ := fmt.Sscanf(r.Header.Get("Range"), "bytes=%d-%d", &from, &to); n > 0 {
		w.Header().Set("Content-Range", fmt.Sprintf("bytes %d-%d/%d", from, to, c.Size()))
		w.Header().Set("Content-Length", fmt.Sprint(to-from+1))
		w.WriteHeader(http.StatusPartialContent)
	} else {
		w.Header().Set("Content-Length", fmt.Sprint(c.Size()))
	}
	src := io.NewSectionReader(c, from, to-from+1)
	start, buf := time.Now(), make([]byte, 8<<10)
	for sent := 0; ; {
		n, err := src.Read(buf)
		if err != nil || !wait(r.Context(), time.Until(start.Add(time.Duration(sent)*time.Second/time.Duration(o.rate)))) {
			return
		}
		n, err = w.Write(buf[:n])
		o.sent.Add(int64(n))
		if sent += n; err != nil {
			return
		}
	}
}

// wait waits so long, and tells whether ctx is not done.
func wait(ctx context.Context, d time.Duration) bool {
	if d > 0 {
		timer := time.NewTimer(d)
		defer timer.Stop()
		select {
		case <-timer.C:
		case <-ctx.Done():
		}
	}
	return ctx.Err() == nil
}

// wantSent wants no more to have been served than size and so many hundredths of it.
func (o *origin) wantSent(t *testing.T, size, hundredths int64) {
	t.Helper()
	sent := o.sent.Load()
	t.Logf("of %d bytes %d were served, %.2f %% more", size, sent, 100*float64(sent-size)/float64(size))
	if sent > size+size*hundredths/100 {
		t.Errorf("%d bytes were served of %d, more than %d %% twice", sent, size, hundredths)
	}
}

// killRounds is one pull that is killed at moments of its own choice, over and over.
type killRounds struct {
	size        int64
	rounds      int
	midway      int // rounds, at least, in which bytes came before the kill
	connections int
	rate        int   // of each, bytes per second
	twice       int64 // hundredths of the size that may be served twice
}

// A pull that is killed at any moment and started again, over and over, fetches next to nothing twice. What is served
// is counted, which is more than was fetched: what lay in a socket when its process was killed is in it.
func TestInteropAPullKilledOverAndOver(t *testing.T) {
	k := killRounds{64 << 20, 6, 4, 8, 3_000_000, 4}
	if os.Getenv("MSTORE_INTEROP") == "large" {
		k = killRounds{500_000_000, 20, 15, 16, 2_000_000, 2}
	}
	o := newOrigin(t, k.rate)
	weights := faultserver.Content(1, k.size)
	args := roleArgs{Ref: o.model(t, "v1", weights), Connections: k.connections}
	s := newStore(t)
	anHourLater(t, s)
	args.Dir = s.Dir()
	midway := 0
	for _, moment := range k.moments(t) {
		before := o.sent.Load()
		c := start(t, "pull", args)
		eventually(t, "the moment of the kill", func() bool { return o.sent.Load() >= moment || c.ended() })
		c.kill()
		if o.sent.Load() > before && !c.cmd.ProcessState.Success() {
			midway++
		}
		if ok, err := s.Has(t.Context(), args.Ref); err != nil || ok && o.sent.Load() < k.size {
			t.Errorf("killed when %d bytes were served, Has = %v, %v", o.sent.Load(), ok, err)
		}
	}
	var got mstore.Pulled
	try(t, start(t, "pull", args).wait(&got))
	if fileOf(t, got.Model, "file-0000.bin").Digest.String() != weights.Digest() {
		t.Errorf("Pull = %+v", got)
	}
	if midway < k.midway {
		t.Errorf("%d of %d rounds were killed midway, want %d", midway, k.rounds, k.midway)
	}
	o.wantSent(t, k.size, k.twice)
}

// moments are the numbers of bytes served at which to kill, in order.
func (k killRounds) moments(t *testing.T) []int64 {
	t.Helper()
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, seed))
	var all []int64
	for range k.rounds {
		all = append(all, random.Int64N(k.size))
	}
	slices.Sort(all)
	return all
}

// ended tells whether the child has.
func (c *child) ended() bool {
	select {
	case <-c.done:
		return true
	default:
		return false
	}
}

// After a power cut no more is fetched again than what follows the watermark.
func TestAPullAfterAPowerCut(t *testing.T) {
	const size, interval = 320 << 20, 256 << 20
	boot, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		t.Skip("this system does not say when it was started")
	}
	o := newOrigin(t, 25_000_000)
	weights := faultserver.Content(1, size)
	s := newStore(t)
	anHourLater(t, s)
	args := roleArgs{Dir: s.Dir(), Ref: o.model(t, "v1", weights), Connections: 8}
	c := start(t, "pull", args)
	secured := func() (partial string, n int64) {
		for _, path := range glob(t, s.Dir(), "ingest", "*", "watermark") {
			if raw, err := os.ReadFile(path); err == nil && len(raw) > 8 {
				return filepath.Dir(path), int64(binary.BigEndian.Uint64(raw))
			}
		}
		return "", 0
	}
	eventually(t, "a watermark", func() bool { _, n := secured(); return n > 0 || c.ended() })
	c.kill()
	partial, n := secured()
	if n < interval {
		t.Fatalf("the watermark is at %d", n)
	}
	// The machine is started anew: another boot, no journal that counts, and zeros where nothing was synced.
	owner := filepath.Join(partial, "owner")
	raw, err := os.ReadFile(owner)
	try(t, err, os.WriteFile(owner, bytes.Replace(raw, bytes.TrimSpace(boot), []byte("another"), 1), 0o600))
	data := filepath.Join(partial, "data")
	try(t, os.Remove(filepath.Join(partial, "journal")), os.Truncate(data, n), os.Truncate(data, size),
		os.Chtimes(data, time.Unix(1e9, 0), time.Unix(1e9, 0)))

	o.sent.Store(0)
	var got mstore.Pulled
	try(t, start(t, "pull", args).wait(&got))
	if fileOf(t, got.Model, "file-0000.bin").Digest.String() != weights.Digest() || got.BytesReused < n {
		t.Errorf("Pull = %+v, with a watermark at %d", got, n)
	}
	o.wantSent(t, size-n, 1)
}

func glob(t *testing.T, parts ...string) []string {
	t.Helper()
	all, err := filepath.Glob(filepath.Join(parts...))
	try(t, err)
	return all
}

// together starts n pulls of one model and lets files be had when all of them have asked for it.
func together(t *testing.T, o *origin, n int, args roleArgs, dirs ...string) []*child {
	t.Helper()
	o.mu.Lock()
	o.open = make(chan struct{})
	o.mu.Unlock()
	var all []*child
	for i := range n {
		args.Dir = dirs[i%len(dirs)]
		all = append(all, start(t, "watch", args))
	}
	eventually(t, "all have asked for the manifest", func() bool {
		o.mu.Lock()
		defer o.mu.Unlock()
		return o.asked["GET manifests/v1"]+o.asked["HEAD manifests/v1"] >= n
	})
	close(o.open)
	return all
}

// writer is the child that fetches something just now: the one whose partial blob has most, by its owner's word.
func writer(t *testing.T, dir string, all []*child) *child {
	t.Helper()
	for _, path := range glob(t, dir, "ingest", "*", "owner") {
		var owner struct{ PID int }
		raw, err := os.ReadFile(path)
		if err != nil || json.Unmarshal(raw, &owner) != nil {
			continue
		}
		for _, c := range all {
			if c.cmd.Process.Pid == owner.PID && !c.ended() {
				return c
			}
		}
	}
	return nil
}

// Of many processes that pull one model one fetches each blob, and the others see how far it is. When those that fetch
// are killed, others go on where they stopped.
func TestThirtyTwoProcessesAndOneOrigin(t *testing.T) {
	const n, size = 32, 12 << 20
	for _, kills := range []int64{0, 3} {
		t.Run(fmt.Sprint("kills ", kills), func(t *testing.T) {
			o := newOrigin(t, 2_000_000)
			args := roleArgs{Ref: o.model(t, "v1", faultserver.Content(1, size), faultserver.Content(2, size)), Connections: 4}
			s := newStore(t)
			anHourLater(t, s)
			all := together(t, o, n, args, s.Dir())
			for i := range kills {
				var c *child
				eventually(t, "somebody has fetched more", func() bool {
					c = writer(t, s.Dir(), all)
					return c != nil && o.sent.Load() > (i+1)*2*size/5
				})
				c.kill()
				all = slices.DeleteFunc(all, func(other *child) bool { return other == c })
			}
			waited := 0
			for _, c := range all {
				waited += wantWaited(t, c, digest.Digest(faultserver.Content(1, size).Digest()))
			}
			if waited < len(all)/2 {
				t.Errorf("%d of %d processes saw how another gets on", waited, len(all))
			}
			o.wantSent(t, 2*size, 2+kills)
		})
	}
}

// wantWaited wants a child to end well, with the file of that digest, and what it was told while it waited to grow. It
// gives 1 when there was something that grew.
func wantWaited(t *testing.T, c *child, file digest.Digest) (grew int) {
	t.Helper()
	eventually(t, "a child ends", c.ended)
	var got watching
	if err := c.wait(&got); err != nil {
		t.Error(err)
		return 0
	}
	if fileOf(t, got.Model, "file-0000.bin").Digest != file {
		t.Errorf("one has %+v", got.Model)
	}
	for _, told := range got.Waits {
		if !slices.IsSorted(told) {
			t.Errorf("told %d", told)
		}
		if len(told) > 2 && told[len(told)-1] > told[0] {
			grew = 1
		}
	}
	return grew
}

// Where locks do nothing, the same may be fetched by each, and comes out right.
func TestProcessesThatPullWithoutLocks(t *testing.T) {
	const n, size = 6, 4 << 20
	o := newOrigin(t, 4_000_000)
	weights := faultserver.Content(1, size)
	args := roleArgs{Ref: o.model(t, "v1", weights), Connections: 4}
	s := newStore(t)
	try(t, os.WriteFile(filepath.Join(s.Dir(), "store.json"), []byte(`{"version":1,"locks":false}`), 0o600))
	var views []string
	for range n {
		views = append(views, ownLocks(t, s.Dir()))
	}
	for _, c := range together(t, o, n, args, views...) {
		wantWaited(t, c, digest.Digest(weights.Digest()))
	}
	o.wantSent(t, n*size, 2)
	m, err := s.Tag(t.Context(), args.Ref, "again") // makes the index, of which each had its own
	try(t, err)
	try(t, s.Blobs().Check(t.Context(), fileOf(t, *m, "file-0000.bin").Digest, nil))
}

// ownLocks is a store seen through a folder that has its own locks/: they do nothing between two of those.
func ownLocks(t *testing.T, dir string) string {
	t.Helper()
	view := t.TempDir()
	entries, err := os.ReadDir(dir)
	try(t, err)
	for _, e := range entries {
		from, to := filepath.Join(dir, e.Name()), filepath.Join(view, e.Name())
		switch {
		case e.Name() == "locks":
			err = os.Mkdir(to, 0o700)
		case e.IsDir():
			err = os.Symlink(from, to)
		default:
			var raw []byte
			if raw, err = os.ReadFile(from); err == nil {
				err = os.WriteFile(to, raw, 0o600)
			}
		}
		try(t, err)
	}
	return view
}

// A blob that two models have is fetched once, when two processes pull them at once, and when one does.
func TestModelsThatShareABlob(t *testing.T) {
	const size, own = 4 << 20, 1 << 20
	shared := faultserver.Content(1, size)
	for _, processes := range []int{1, 2} {
		t.Run(fmt.Sprint(processes), func(t *testing.T) {
			o := newOrigin(t, 4_000_000)
			refs := []string{
				o.model(t, "v1", shared, faultserver.Content(2, own)), o.model(t, "v2", shared, faultserver.Content(3, own)),
			}
			s := newStore(t)
			var pulls errgroup.Group
			for _, ref := range refs {
				pulls.Go(func() error {
					if processes == 2 {
						return start(t, "pull", roleArgs{Dir: s.Dir(), Ref: ref}).wait(nil)
					}
					_, err := s.Pull(t.Context(), ref, mstore.PullOptions{})
					return err
				})
			}
			try(t, pulls.Wait())
			for _, ref := range refs {
				m, err := s.Show(t.Context(), ref)
				try(t, err)
				if fileOf(t, *m, "file-0000.bin").Digest.String() != shared.Digest() {
					t.Errorf("%s has %+v", ref, m.Files)
				}
			}
			o.wantSent(t, size+2*own, 2)
		})
	}
}
