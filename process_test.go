package mstore_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/mstore/mstore"
)

// child is this test binary as another process, in one of the roles.
type child struct {
	t    *testing.T
	cmd  *exec.Cmd
	out  bytes.Buffer
	done chan struct{}
}

func start(t *testing.T, role string, a roleArgs) *child {
	t.Helper()
	c := newChild(t, role, a)
	c.start()
	return c
}

func newChild(t *testing.T, role string, a roleArgs) *child {
	t.Helper()
	raw, err := json.Marshal(a)
	try(t, err)
	c := &child{t: t, cmd: exec.Command(os.Args[0]), done: make(chan struct{})}
	c.cmd.Env = append(os.Environ(), "MSTORE_TEST_ROLE="+role, "MSTORE_TEST_ARGS="+string(raw))
	c.cmd.Stdout, c.cmd.Stderr = &c.out, &c.out
	return c
}

func (c *child) start() {
	c.t.Helper()
	try(c.t, c.cmd.Start())
	go func() {
		_ = c.cmd.Wait()
		close(c.done)
	}()
	c.t.Cleanup(c.kill)
}

// kill kills it as a power cut would, and waits until it is gone. A child that has ended stays so.
func (c *child) kill() {
	_ = c.cmd.Process.Kill()
	<-c.done
}

// wait waits for its end and reads what it did into result.
func (c *child) wait(result any) error {
	<-c.done
	text := c.out.String()
	if !c.cmd.ProcessState.Success() {
		return fmt.Errorf("%s", strings.TrimSpace(text))
	}
	if result == nil {
		return nil
	}
	return json.Unmarshal([]byte(text), result)
}

// ingested is how many bytes of unfinished blobs lie in a store.
func ingested(t *testing.T, dir string) (n int64) {
	t.Helper()
	_ = filepath.WalkDir(filepath.Join(dir, "ingest"), func(_ string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			if info, err := d.Info(); err == nil {
				n += info.Size()
			}
		}
		return nil
	})
	return n
}

// anHourLater makes what lies unfinished in a store old when the test ends. A process that was killed before it had
// said whose an ingest or a lease is leaves what nobody dares to remove before.
func anHourLater(t *testing.T, s *mstore.Store) {
	t.Helper()
	t.Cleanup(func() {
		then := time.Now().Add(-2 * time.Hour)
		for _, dir := range []string{"ingest", "leases"} {
			_ = filepath.WalkDir(filepath.Join(s.Dir(), dir), func(path string, _ fs.DirEntry, err error) error {
				return errs(err, os.Chtimes(path, then, then))
			})
		}
	})
}

func TestAKilledPullIsResumedByAnotherProcess(t *testing.T) {
	const size, first, slack = 16 << 20, 8 << 20, 1 << 20
	dir := folder(t, map[string]string{"model.gguf": string(content(size, 3)), "config.json": "{}"})
	ref := repo(t) + ":v1"
	publish(t, dir, ref)
	p := newProxy(t, fixtures.registry())
	through := strings.Replace(ref, fixtures.registry(), p.Host, 1)
	s := newStore(t)
	anHourLater(t, s)

	p.stopAfter(first)
	killed := start(t, "pull", roleArgs{Dir: s.Dir(), Ref: through})
	eventually(t, "half of the blob is here", func() bool { return p.blobBytes() >= first-slack && ingested(t, s.Dir()) >= first-slack })
	killed.kill()
	if ok, err := s.Has(t.Context(), through); ok || err != nil {
		t.Errorf("killed midway, Has = %v, %v", ok, err)
	}
	if _, err := s.GC(t.Context(), mstore.GCOptions{}); err != nil { // what is resumable stays
		t.Error(err)
	}
	p.release()
	p.count("")

	var got mstore.Pulled
	try(t, start(t, "pull", roleArgs{Dir: s.Dir(), Ref: through}).wait(&got))
	_, sent := p.count("")
	if got.BytesReused < first-4*slack || got.BytesFetched > size-first+4*slack || sent > size-first+4*slack {
		t.Errorf("reused %d, fetched %d, the registry sent %d", got.BytesReused, got.BytesFetched, sent)
	}
	wantExport(t, s, through, dir)
}

func TestProcessesThatPullOneModelShareTheWork(t *testing.T) {
	const size, n = 4 << 20, 4
	dir := folder(t, map[string]string{
		"a.gguf": string(content(size, 1)), "b.gguf": string(content(size, 2)), "c.gguf": string(content(size, 3)), "config.json": "{}",
	})
	ref := repo(t) + ":v1"
	pushed := publish(t, dir, ref)
	p := newProxy(t, fixtures.registry())
	through := strings.Replace(ref, fixtures.registry(), p.Host, 1)
	s := newStore(t)
	p.stopAfter(1 << 20) // until all of them are at it
	var children []*child
	for range n {
		children = append(children, start(t, "pull", roleArgs{Dir: s.Dir(), Ref: through}))
	}
	eventually(t, "all have asked for the manifest", func() bool {
		p.mu.Lock()
		defer p.mu.Unlock()
		asked := 0
		for what, n := range p.asked {
			if strings.HasPrefix(what, "GET ") && strings.Contains(what, "/manifests/") {
				asked += n
			}
		}
		return asked >= n
	})
	p.release()
	var fetched int64
	for _, c := range children {
		var got mstore.Pulled
		try(t, c.wait(&got))
		fetched += got.BytesFetched
		if got.Digest != pushed.Digest || got.BytesFetched+got.BytesReused != got.Size {
			t.Errorf("one fetched %d and reused %d of %d", got.BytesFetched, got.BytesReused, got.Size)
		}
	}
	asked, sent := p.count("/blobs/")
	m, err := s.Show(t.Context(), through)
	try(t, err)
	if len(asked) != 5 || sent != pushed.Bytes || fetched != m.Size {
		t.Errorf("asked %q; the registry sent %d bytes and %d were fetched, of %d", slices.Collect(maps.Keys(asked)), sent, fetched, pushed.Bytes)
	}
	wantExport(t, s, through, dir)
}

func TestAKilledImportLeavesNothingThatBreaks(t *testing.T) {
	dir := folder(t, map[string]string{"a.gguf": string(content(32<<20, 1)), "b.gguf": string(content(24<<20, 2)), "config.json": "{}"})
	s := newStore(t)
	anHourLater(t, s)
	for range 3 {
		c := start(t, "import", roleArgs{Dir: s.Dir(), Paths: []string{dir}, As: "m"})
		eventually(t, "the import is under way", func() bool {
			select {
			case <-c.done:
				return true
			default:
				return ingested(t, s.Dir()) > 10<<20
			}
		})
		c.kill()
		_, err := s.Verify(t.Context(), mstore.VerifyOptions{})
		try(t, err)
		_, err = s.GC(t.Context(), mstore.GCOptions{})
		try(t, err)
	}
	var got mstore.Pulled
	try(t, start(t, "import", roleArgs{Dir: s.Dir(), Paths: []string{dir}, As: "m"}).wait(&got))
	if d := fileOf(t, got.Model, "a.gguf").Digest; d != digest.FromBytes(content(32<<20, 1)) {
		t.Errorf("a.gguf is %s", d)
	}
	wantExport(t, s, "m", dir)
}
