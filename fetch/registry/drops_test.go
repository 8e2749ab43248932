package registry_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/mstore/mstore/fetch/registry"
	"github.com/mstore/mstore/fetch/source"
	"github.com/mstore/mstore/internal/registrytest"
)

// cutOnce breaks the first request of a method off after some bytes of its body.
func cutOnce(method string, after int64) func(w http.ResponseWriter, r *http.Request) bool {
	var n atomic.Int64
	return func(_ http.ResponseWriter, r *http.Request) bool {
		if r.Method == method && strings.Contains(r.URL.Path, "/uploads/") && n.Add(1) == 1 {
			r.Body = &ending{ReadCloser: r.Body, left: after}
		}
		return false
	}
}

// TestDropsBeforeRealRegistries: distribution keeps what came of a chunk, and of a last one, so that at most the bytes
// of the cut are lost, and a chunk or two that it refuses because it wrote them only after it was asked what it has;
// crane's registry cannot be asked, and gets the blob anew.
func TestDropsBeforeRealRegistries(t *testing.T) {
	blob := noise(20, much)
	for name, c := range map[string]struct {
		start func(testing.TB) *registrytest.Registry
		most  int64
	}{
		"distribution": {func(tb testing.TB) *registrytest.Registry {
			return registrytest.Start(tb, registrytest.Options{})
		}, much + 2*unit},
		"crane": {func(tb testing.TB) *registrytest.Registry { return registrytest.StartCrane(tb) }, 2*much + unit},
	} {
		for _, method := range []string{http.MethodPatch, http.MethodPut} {
			for _, after := range []int64{0, 1, 1 << 20, unit - 1} {
				t.Run(fmt.Sprint(name, " ", method, " ", after), func(t *testing.T) {
					r := c.start(t)
					host, asked := proxy(t, r.Host, cutOnce(method, after))
					to := chunks(t, host, unit)
					if outcome, err := to.PushBlob(t.Context(), describe(blob), bytes.NewReader(blob), nil); err != nil || outcome != registry.Sent {
						t.Fatalf("PushBlob = %q, %v", outcome, err)
					}
					if has, err := target(t, client(t), r.Host+"/m:v1").HasBlob(t.Context(), describe(blob)); !has || err != nil {
						t.Errorf("HasBlob = %v, %v", has, err)
					}
					if sent := asked.sent(); sent > c.most+after {
						t.Errorf("%d bytes were sent, want at most %d", sent, c.most+after)
					}
				})
			}
		}
	}
}

// TestTheNextTargetGoesOn: what an earlier target was cut off in, a new one goes on with; the URL is kept as it came.
func TestTheNextTargetGoesOn(t *testing.T) {
	r := registrytest.Start(t, registrytest.Options{})
	blob, kept := noise(21, much), &shelf{}
	keep := func(o *registry.TargetOptions) { o.Sessions, o.Transfer.Retries = kept, -1 }
	host, asked := proxy(t, r.Host, cutOnce(http.MethodPut, 5<<20))
	if _, err := chunks(t, host, unit, keep).PushBlob(t.Context(), describe(blob), bytes.NewReader(blob), nil); err == nil {
		t.Fatal("the push was not cut off")
	} else if strings.Contains(err.Error(), "_state") {
		t.Errorf("the error shows the URL of the session: %v", err)
	}
	if all := kept.all(); len(all) != 1 || !strings.Contains(all[0], "_state=") {
		t.Fatalf("%q are kept, want one session", all)
	}
	before := asked.sent()
	var first registry.Progress
	outcome, err := chunks(t, host, unit, keep).PushBlob(t.Context(), describe(blob), bytes.NewReader(blob), func(p registry.Progress) {
		if first == (registry.Progress{}) {
			first = p
		}
	})
	if err != nil || outcome != registry.Sent || len(kept.all()) != 0 {
		t.Fatalf("PushBlob = %q, %v, with %q kept", outcome, err, kept.all())
	}
	if again := asked.sent() - before; again > much-16<<20 || first.Reused != much-again || first.Done != first.Reused {
		t.Errorf("%d bytes of %d were sent again, from %+v on", again, much, first)
	}
}

// TestSessionsThatAreOfNoUse: each ends in the blob being sent from its start.
func TestSessionsThatAreOfNoUse(t *testing.T) {
	evil, asked := attacker(t)
	blob := noise(22, much)
	for name, url := range map[string]string{
		"unknown":   "http://%s/v2/m/blobs/uploads/99",
		"elsewhere": "http://" + evil + "/v2/m/blobs/uploads/1",
		"a user":    "http://me:pw@%s/v2/m/blobs/uploads/1",
		"no URL":    "\x00://",
		"poisoned":  "http://%s/v2/m/blobs/uploads/evil",
	} {
		t.Run(name, func(t *testing.T) {
			d := newDepot(t, &depot{})
			d.sessions["evil"] = bytes.Repeat([]byte{'x'}, unit)
			to := chunks(t, d.host, unit, func(o *registry.TargetOptions) {
				o.Sessions = always{strings.Replace(url, "%s", d.host, 1)}
			})
			if _, err := to.PushBlob(t.Context(), describe(blob), bytes.NewReader(blob), nil); err != nil || !d.has(blob) {
				t.Error(err)
			}
		})
	}
	if all := asked.requests(); len(all) != 0 {
		t.Errorf("the attacker was asked %v", all)
	}
}

// always has one URL for every key.
type always struct{ url string }

func (a always) Load(string) (string, bool) { return a.url, true }
func (always) Save(string, string)          {}
func (always) Delete(string)                {}

// TestTokenRunsOutInAnUpload takes the token away from the second chunk and from the last: both are sent again with a
// new one, from their first byte.
func TestTokenRunsOutInAnUpload(t *testing.T) {
	r := registrytest.Start(t, registrytest.Options{Token: true})
	var patches, puts atomic.Int64
	host, _ := proxy(t, r.Host, func(_ http.ResponseWriter, req *http.Request) bool {
		if req.Method == http.MethodPatch && patches.Add(1) == 2 || req.Method == http.MethodPut && puts.Add(1) == 1 {
			req.Header.Del("Authorization")
		}
		return false
	})
	blob := noise(23, much)
	c := client(t, as(host), trust(r))
	to := target(t, c, host+"/m:v1")
	to.SetChunk(unit)
	if _, err := to.PushBlob(t.Context(), describe(blob), bytes.NewReader(blob), nil); err != nil {
		t.Fatal(err)
	}
	if issued := r.Tokens.Issued(); len(issued) > 4 {
		t.Errorf("tokens were issued for %q, want one, and one more each time it ran out", issued)
	}
}

// TestSeveralBlobsAtOnce: each through one cut, with one throttle for all, whose pieces are small.
func TestSeveralBlobsAtOnce(t *testing.T) {
	r := registrytest.Start(t, registrytest.Options{})
	host, _ := proxy(t, r.Host, cutOnce(http.MethodPatch, 1<<20))
	var passed, largest atomic.Int64
	to := chunks(t, host, unit, func(o *registry.TargetOptions) {
		o.Throttle = func(_ context.Context, n int) error {
			passed.Add(int64(n))
			largest.Store(max(largest.Load(), int64(n)))
			return nil
		}
	})
	var wg sync.WaitGroup
	for i := range 4 {
		wg.Go(func() {
			blob := noise(uint64(30+i), 9<<20)
			if _, err := to.PushBlob(t.Context(), describe(blob), bytes.NewReader(blob), nil); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if passed.Load() < 4*9<<20 || largest.Load() > 64<<10 {
		t.Errorf("%d bytes passed the throttle, in pieces of up to %d", passed.Load(), largest.Load())
	}
}

// TestThrottle: what it takes its time for is no stall, and its error is that of the push.
func TestThrottle(t *testing.T) {
	d := newDepot(t, &depot{})
	blob, full := noise(40, 256<<10), errors.New("enough")
	var slow, calls atomic.Int64
	to := chunks(t, d.host, unit, func(o *registry.TargetOptions) {
		o.Transfer.Stall = 60 * time.Millisecond
		o.Throttle = func(ctx context.Context, _ int) error {
			if slow.Add(1) == 2 {
				timer := time.NewTimer(200 * time.Millisecond)
				defer timer.Stop()
				select {
				case <-timer.C:
				case <-ctx.Done():
					return ctx.Err()
				}
			}
			return nil
		}
	})
	if _, err := to.PushBlob(t.Context(), describe(blob), bytes.NewReader(blob), nil); err != nil || d.count(http.MethodPut) != 1 {
		t.Errorf("PushBlob = %v after %d tries", err, d.count(http.MethodPut))
	}
	blob = noise(41, 256<<10)
	to = chunks(t, d.host, unit, func(o *registry.TargetOptions) {
		o.Throttle = func(context.Context, int) error { calls.Add(1); return full }
	})
	if _, err := to.PushBlob(t.Context(), describe(blob), bytes.NewReader(blob), nil); !errors.Is(err, full) || calls.Load() != 1 {
		t.Errorf("PushBlob = %v after %d calls, want the error of the throttle", err, calls.Load())
	}
}

// TestABlobThatCannotBeRead is no fault of the line: nothing is tried again.
func TestABlobThatCannotBeRead(t *testing.T) {
	d := newDepot(t, &depot{})
	blob := noise(42, much)
	desc := describe(blob)
	_, err := chunks(t, d.host, unit).PushBlob(t.Context(), desc, bytes.NewReader(blob[:much-1]), nil)
	if err == nil || !strings.Contains(err.Error(), "shorter than its size") || errors.Is(err, io.EOF) {
		t.Errorf("PushBlob of a blob that was truncated = %v", err)
	}
	if n := d.count(http.MethodPut); n > 1 {
		t.Errorf("it was tried %d times", n)
	}
}

// TestManifestWithoutItsBlobs: a registry that misses one says so, and the caller can tell.
func TestManifestWithoutItsBlobs(t *testing.T) {
	m := newModel(t, 9)
	to := target(t, client(t), registrytest.Start(t, registrytest.Options{}).Host+"/m:v1")
	if _, err := to.PushManifest(t.Context(), m.m.Descriptor.MediaType, m.m.Raw); !errors.Is(err, registry.ErrBlobUnknown) {
		t.Errorf("PushManifest = %v, want ErrBlobUnknown", err)
	}
	other := target(t, client(t), "registry.example/m@"+string(describe(m.config).Digest), plainHTTP)
	if err := other.CheckDigest(m.m.Descriptor.Digest); !errors.Is(err, source.ErrDigest) {
		t.Errorf("CheckDigest = %v, want source.ErrDigest", err)
	}
}
