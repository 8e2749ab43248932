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
	"testing"
	"time"

	"github.com/mstore/mstore/fetch/guard"
	"github.com/mstore/mstore/fetch/registry"
	"github.com/mstore/mstore/fetch/transfer"
)

const (
	unit = 4 << 20  // the first chunk of these tests
	much = 22 << 20 // 4 + 8 + the last 10
)

// answer answers the requests of a method whose number is in from..to.
func answer(method string, from, to, status int, headers ...string) func(*depot, http.ResponseWriter, *http.Request, int) bool {
	return func(_ *depot, w http.ResponseWriter, r *http.Request, n int) bool {
		if r.Method != method || n < from || n > to {
			return false
		}
		for i := 0; i+1 < len(headers); i += 2 {
			w.Header().Set(headers[i], headers[i+1])
		}
		w.WriteHeader(status)
		return true
	}
}

// drop breaks the n-th request of a method off after its first bytes.
func drop(method string, nth int, after int64) func(*depot, http.ResponseWriter, *http.Request, int) bool {
	return func(d *depot, w http.ResponseWriter, r *http.Request, n int) bool {
		if r.Method != method || n != nth {
			return false
		}
		dropping(w, r, after, func(w http.ResponseWriter, r *http.Request) {
			d.take(w, r, r.URL.Path[strings.LastIndexByte(r.URL.Path, '/')+1:])
		})
		return true
	}
}

// TestUploads holds a push to what registries do. most is how many bytes may come in all, where much arrive.
func TestUploads(t *testing.T) {
	lost := `{"errors":[{"code":"BLOB_UPLOAD_UNKNOWN"}]}`
	for name, c := range map[string]struct {
		depot *depot
		most  int64
		posts int
	}{
		"nothing goes wrong":            {&depot{}, much, 1},
		"the Location stays":            {&depot{stays: true}, much, 1},
		"a chunk is dropped at 0":       {&depot{change: drop("PATCH", 2, 0)}, much + unit, 1},
		"a chunk is dropped at 1":       {&depot{change: drop("PATCH", 1, 1)}, much + unit, 2}, // 0-0 says nothing
		"a chunk is dropped midway":     {&depot{change: drop("PATCH", 2, unit+12345)}, much + unit, 1},
		"a chunk is dropped at its end": {&depot{change: drop("PATCH", 2, 2*unit-1)}, much + unit, 1},
		"the last is dropped at 0":      {&depot{change: drop("PUT", 1, 0)}, much + unit, 1},
		"the last is dropped midway":    {&depot{change: drop("PUT", 1, 6<<20)}, much + unit, 1},
		"what broke off is forgotten":   {&depot{change: drop("PATCH", 2, unit), forget: true}, much + 2*unit, 1},
		"its state cannot be asked":     {&depot{change: drop("PATCH", 2, unit), absent: true}, much + 3*unit, 2},
		"416":                           {&depot{change: answer("PATCH", 2, 2, 416)}, much + 2*unit, 1},
		"416 for ever": {&depot{change: func(_ *depot, w http.ResponseWriter, r *http.Request, n int) bool {
			if r.Method == http.MethodPatch && strings.HasSuffix(r.URL.Path, "/1") && n > 1 {
				w.WriteHeader(http.StatusRequestedRangeNotSatisfiable)
				return true
			}
			return false
		}}, 2*much + 8*unit, 2},
		"the session is lost":             {&depot{change: answer("PATCH", 2, 2, 404)}, much + 3*unit, 2},
		"the session is lost at the end":  {&depot{change: answer("PUT", 1, 1, 404)}, 2 * much, 2},
		"the session is lost at first":    {&depot{change: answer("PATCH", 1, 1, 404)}, much + unit, 2},
		"chunks are not known":            {&depot{change: answer("PATCH", 1, 99, 405)}, much + unit, 2},
		"chunks are not implemented":      {&depot{change: answer("PATCH", 1, 99, 501)}, much + unit, 2},
		"all but the first are dropped":   {&depot{change: keepsFirst}, 2 * much, 2},
		"503, wait":                       {&depot{change: answer("PATCH", 2, 3, 503, "Retry-After", "0")}, much + 4*unit, 1},
		"429, wait":                       {&depot{change: answer("PUT", 1, 2, 429, "Retry-After", "0")}, 2*much + 6*unit, 1},
		"500 flaps":                       {&depot{change: flaps}, 3 * much, 2},
		"500 to the question":             {&depot{change: both(drop("PATCH", 2, unit), answer("GET", 1, 99, 500))}, much + 3*unit, 2},
		"less is taken than was sent":     {&depot{change: short}, much + 2*unit, 1},
		"201 and nothing there":           {&depot{change: swallows(1)}, 2 * much, 2},
		"201 and it shows later":          {&depot{change: answer("HEAD", 2, 2, 404)}, much, 1},
		"the answer to the last is lost":  {&depot{change: silent}, much, 1},
		"too large a request":             {&depot{change: atMost(5 << 20)}, much + 4*unit, 1},
		"the smallest chunk is announced": {&depot{header: http.Header{"Oci-Chunk-Min-Length": {fmt.Sprint(9 << 20)}}, change: noLess(9 << 20)}, much, 1},
		"a page says that it is gone": {&depot{change: func(_ *depot, w http.ResponseWriter, r *http.Request, n int) bool {
			if r.Method != http.MethodPatch || n != 1 {
				return false
			}
			w.WriteHeader(http.StatusGone)
			_, _ = w.Write([]byte(lost))
			return true
		}}, much + unit, 2},
	} {
		t.Run(name, func(t *testing.T) {
			d, blob := newDepot(t, c.depot), noise(7, much)
			kept := &shelf{}
			to := chunks(t, d.host, unit, func(o *registry.TargetOptions) { o.Sessions = kept })
			var last registry.Progress
			outcome, err := to.PushBlob(t.Context(), describe(blob), bytes.NewReader(blob), func(p registry.Progress) {
				if p.Done < last.Done && p.Done != 0 || p.Reused != 0 {
					t.Errorf("progress went from %+v to %+v", last, p)
				}
				last = p
			})
			if err != nil || outcome != registry.Sent || !d.has(blob) {
				t.Fatalf("PushBlob = %q, %v", outcome, err)
			}
			if sent := d.asked.sent(); sent < much || sent > c.most {
				t.Errorf("%d bytes were sent, want %d to %d", sent, much, c.most)
			}
			if posts := d.count(http.MethodPost); posts != c.posts {
				t.Errorf("%d sessions were opened, want %d", posts, c.posts)
			}
			if last.Done != much {
				t.Errorf("progress ended at %d", last.Done)
			}
			if left := kept.all(); len(left) != 0 {
				t.Errorf("sessions are kept after the end: %q", left)
			}
		})
	}
}

func both(a, b func(*depot, http.ResponseWriter, *http.Request, int) bool) func(*depot, http.ResponseWriter, *http.Request, int) bool {
	return func(d *depot, w http.ResponseWriter, r *http.Request, n int) bool {
		return a(d, w, r, n) || b(d, w, r, n)
	}
}

// keepsFirst is what Amazon ECR was seen to do: 201, and the bytes after the first chunk are dropped.
func keepsFirst(d *depot, w http.ResponseWriter, r *http.Request, n int) bool {
	if r.Method != http.MethodPatch || n == 1 {
		return false
	}
	d.state(w, r.URL.Path[strings.LastIndexByte(r.URL.Path, '/')+1:], http.StatusCreated)
	return true
}

// flaps answers each other request that is not a HEAD with 500.
func flaps(d *depot, w http.ResponseWriter, r *http.Request, n int) bool {
	if r.Method == http.MethodHead || n%2 == 0 {
		return false
	}
	w.WriteHeader(http.StatusInternalServerError)
	return true
}

// short takes a megabyte of the second chunk, and says so.
func short(d *depot, w http.ResponseWriter, r *http.Request, n int) bool {
	if r.Method != http.MethodPatch || n != 2 {
		return false
	}
	id := r.URL.Path[strings.LastIndexByte(r.URL.Path, '/')+1:]
	r.Body = &ending{ReadCloser: r.Body, left: 1 << 20}
	d.take(w, r, id)
	d.state(w, id, http.StatusAccepted)
	return true
}

// swallows says 201 to the first n blobs, and keeps nothing.
func swallows(n int) func(*depot, http.ResponseWriter, *http.Request, int) bool {
	return func(d *depot, w http.ResponseWriter, r *http.Request, nth int) bool {
		if r.Method != http.MethodPut || nth > n {
			return false
		}
		d.take(w, r, r.URL.Path[strings.LastIndexByte(r.URL.Path, '/')+1:])
		w.WriteHeader(http.StatusCreated)
		return true
	}
}

// silent takes the whole blob, and hangs up before it says so.
func silent(d *depot, w http.ResponseWriter, r *http.Request, n int) bool {
	if r.Method != http.MethodPut || n > 1 {
		return false
	}
	d.put(w, r, r.URL.Path[strings.LastIndexByte(r.URL.Path, '/')+1:])
	panic(http.ErrAbortHandler)
}

// atMost is a proxy with a limit.
func atMost(limit int64) func(*depot, http.ResponseWriter, *http.Request, int) bool {
	return func(_ *depot, w http.ResponseWriter, r *http.Request, _ int) bool {
		if r.ContentLength <= limit {
			return false
		}
		w.WriteHeader(http.StatusRequestEntityTooLarge)
		return true
	}
}

// noLess refuses chunks that are too small, but for the last.
func noLess(least int64) func(*depot, http.ResponseWriter, *http.Request, int) bool {
	return func(_ *depot, w http.ResponseWriter, r *http.Request, _ int) bool {
		if r.Method != http.MethodPatch || r.ContentLength >= least {
			return false
		}
		w.WriteHeader(http.StatusTeapot)
		return true
	}
}

// TestUploadsThatCannotBe end, and say why.
func TestUploadsThatCannotBe(t *testing.T) {
	for name, c := range map[string]struct {
		depot *depot
		says  string
		most  int64
	}{
		"too large for anybody": {&depot{change: atMost(1 << 20)}, "takes no request of 4194304 bytes", 5 * unit},
		"never there":           {&depot{change: swallows(99)}, "says that it has got the blob, and does not have it", 4 * much},
		"lost each time":        {&depot{change: answer("PUT", 1, 99, 404)}, "the upload session is gone", 7 * much},
		"denied midway":         {&depot{change: answer("PATCH", 2, 99, 403)}, "access refused", 4 * unit},
		"another digest": {&depot{change: func(d *depot, w http.ResponseWriter, r *http.Request, _ int) bool {
			if r.Method == http.MethodPut {
				_, _ = io.Copy(io.Discard, r.Body)
				w.Header().Set("Docker-Content-Digest", "sha256:other")
				w.WriteHeader(http.StatusCreated)
			}
			return r.Method == http.MethodPut
		}}, "the registry says it has got", much},
	} {
		t.Run(name, func(t *testing.T) {
			d, blob := newDepot(t, c.depot), noise(8, much)
			_, err := chunks(t, d.host, unit).PushBlob(t.Context(), describe(blob), bytes.NewReader(blob), nil)
			if err == nil || !strings.Contains(err.Error(), c.says) || strings.ContainsAny(err.Error(), "\x1b?") {
				t.Errorf("PushBlob = %v, want an error that says %q", err, c.says)
			}
			if sent := d.asked.sent(); sent > c.most {
				t.Errorf("%d bytes were sent, want at most %d", sent, c.most)
			}
		})
	}
}

// TestALineThatDropsOftenIsOvercome breaks every request off after two megabytes: far more often than is retried.
func TestALineThatDropsOftenIsOvercome(t *testing.T) {
	d := newDepot(t, &depot{change: func(d *depot, w http.ResponseWriter, r *http.Request, _ int) bool {
		if r.ContentLength > 2<<20 {
			dropping(w, r, 2<<20, func(w http.ResponseWriter, r *http.Request) {
				d.take(w, r, r.URL.Path[strings.LastIndexByte(r.URL.Path, '/')+1:])
			})
		}
		return false
	}})
	blob := noise(9, much)
	if _, err := chunks(t, d.host, unit).PushBlob(t.Context(), describe(blob), bytes.NewReader(blob), nil); err != nil || !d.has(blob) {
		t.Error(err)
	}
}

// TestAnUploadThatStallsGoesOn: the registry stops reading in the middle.
func TestAnUploadThatStallsGoesOn(t *testing.T) {
	free := make(chan struct{})
	d := newDepot(t, &depot{change: func(d *depot, w http.ResponseWriter, r *http.Request, n int) bool {
		if r.Method != http.MethodPatch || n != 2 {
			return false
		}
		r.Body = &ending{ReadCloser: r.Body, left: 1 << 20}
		d.take(w, r, r.URL.Path[strings.LastIndexByte(r.URL.Path, '/')+1:])
		<-free
		return true
	}})
	var seen []error
	blob := noise(10, 64<<20) // more than the buffers of a connection take
	to := chunks(t, d.host, unit, func(o *registry.TargetOptions) {
		o.Transfer.Stall = 300 * time.Millisecond
		o.Transfer.Retry = func(_ int, _ time.Duration, err error) { seen = append(seen, err) }
	})
	_, err := to.PushBlob(t.Context(), describe(blob), bytes.NewReader(blob), nil)
	close(free)
	if err != nil || !d.has(blob) {
		t.Fatal(err)
	}
	if len(seen) == 0 || !errors.As(seen[0], new(*transfer.StallError)) {
		t.Errorf("retried for %v, want a StallError", seen)
	}
}

func TestCancelEndsAnUpload(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	d := newDepot(t, &depot{change: func(_ *depot, _ http.ResponseWriter, r *http.Request, _ int) bool {
		if r.Method == http.MethodPatch {
			cancel()
		}
		return false
	}})
	blob := noise(11, much)
	if _, err := chunks(t, d.host, unit).PushBlob(ctx, describe(blob), bytes.NewReader(blob), nil); !errors.Is(err, context.Canceled) {
		t.Errorf("PushBlob = %v, want it cancelled", err)
	}
}

// TestWholeForTheseRegistries: what is known of a registry comes before what it says.
func TestWholeForTheseRegistries(t *testing.T) {
	for host, whole := range map[string]bool{
		"ghcr.io": true, "europe-docker.pkg.dev": true, "eu.gcr.io": true, "GHCR.io": true,
		"123456789012.dkr.ecr.eu-west-1.amazonaws.com": true, "public.ecr.aws": true,
		"registry.example": false, "notgcr.io": false, "quay.io": false, "ghcr.io.example": false,
	} {
		t.Run(host, func(t *testing.T) {
			d := newDepot(t, &depot{change: drop("PUT", 1, 1<<20)})
			c := client(t, func(o *registry.Options) {
				o.HTTP = &http.Client{Transport: &http.Transport{DialContext: dialTo(d.host)}}
				o.PlainHTTP = func(string) bool { return true }
			})
			to := target(t, c, host+"/m:v1")
			to.SetChunk(unit)
			blob := noise(12, much)
			if _, err := to.PushBlob(t.Context(), describe(blob), bytes.NewReader(blob), nil); err != nil || !d.has(blob) {
				t.Fatal(err)
			}
			if patches := d.count(http.MethodPatch); (patches == 0) != whole {
				t.Errorf("%d chunks were sent, want whole = %v", patches, whole)
			}
			if posts := d.count(http.MethodPost); (posts == 2) != whole {
				t.Errorf("%d sessions were opened, want a new one after a drop only where whole = %v", posts, whole)
			}
		})
	}
}

// TestLimitsAreNamed: a registry that takes no blob of this size says so in words.
func TestLimitsAreNamed(t *testing.T) {
	d := newDepot(t, &depot{change: atMost(1 << 20)})
	c := client(t, func(o *registry.Options) {
		o.HTTP = &http.Client{Transport: &http.Transport{DialContext: dialTo(d.host)}}
		o.PlainHTTP = func(string) bool { return true }
	})
	blob := noise(13, 2<<20)
	_, err := target(t, c, "ghcr.io/m:v1").PushBlob(t.Context(), describe(blob), bytes.NewReader(blob), nil)
	if err == nil || !strings.Contains(err.Error(), "ghcr.io") || !strings.Contains(err.Error(), "at most 10 GB") {
		t.Errorf("PushBlob = %v, want the limit of ghcr.io", err)
	}
}

func TestChunksStayWithTheRegistry(t *testing.T) {
	evil, asked := attacker(t)
	for _, method := range []string{http.MethodPatch, http.MethodGet} {
		d := newDepot(t, &depot{change: both(drop("PATCH", 2, 1<<20), func(_ *depot, w http.ResponseWriter, r *http.Request, _ int) bool {
			if r.Method != method {
				return false
			}
			w.Header().Set("Location", "http://"+evil+"/v2/m/blobs/uploads/1")
			w.Header().Set("Range", fmt.Sprintf("0-%d", unit-1))
			w.WriteHeader(http.StatusAccepted)
			return true
		})})
		blob := noise(14, much)
		_, err := chunks(t, d.host, unit).PushBlob(t.Context(), describe(blob), bytes.NewReader(blob), nil)
		if !errors.Is(err, guard.ErrRedirect) {
			t.Errorf("%s: PushBlob = %v, want guard.ErrRedirect", method, err)
		}
	}
	if all := asked.requests(); len(all) != 0 {
		t.Errorf("the attacker was asked %v", all)
	}
}

// TestAnswersBeforeTheBytes: a registry that answers without reading what it is sent is heard all the same.
func TestAnswersBeforeTheBytes(t *testing.T) {
	blob := noise(16, 64<<20) // more than the buffers of a connection take
	for status, says := range map[int]string{
		http.StatusRequestEntityTooLarge: "takes no request of", http.StatusForbidden: "access refused", http.StatusConflict: "409 Conflict",
	} {
		d := newDepot(t, &depot{change: answer("PUT", 1, 99, status, "Connection", "close")})
		_, err := chunks(t, d.host, 64<<20).PushBlob(t.Context(), describe(blob), bytes.NewReader(blob), nil)
		if status == http.StatusRequestEntityTooLarge && err == nil {
			continue // in chunks
		}
		if err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("%d: PushBlob = %v, want an error that says %q", status, err, says)
		}
	}
}

// TestMounts: where the blob may be is asked for along with the session; a registry that does not like the question
// gets it without.
func TestMounts(t *testing.T) {
	for name, c := range map[string]struct {
		from    string
		answer  int
		want    registry.Outcome
		refused bool
	}{
		"of a repository": {"/other:v1", http.StatusCreated, registry.Mounted, false},
		"of any":          {"", http.StatusCreated, registry.Mounted, false},
		"not found":       {"/other:v1", http.StatusAccepted, registry.Sent, false},
		"forbidden":       {"/other:v1", http.StatusForbidden, registry.Sent, true},
		"not known":       {"", http.StatusBadRequest, registry.Sent, true},
	} {
		t.Run(name, func(t *testing.T) {
			var queries []string
			var mu sync.Mutex
			d := newDepot(t, &depot{change: func(_ *depot, w http.ResponseWriter, r *http.Request, _ int) bool {
				if r.Method != http.MethodPost {
					return false
				}
				mu.Lock()
				defer mu.Unlock()
				queries = append(queries, r.URL.RawQuery)
				if c.answer == http.StatusAccepted || r.URL.Query().Get("mount") == "" {
					return false
				}
				w.WriteHeader(c.answer)
				return true
			}})
			from := ""
			if c.from != "" {
				from = d.host + c.from
			}
			blob := noise(15, 1<<10)
			to := chunks(t, d.host, unit, func(o *registry.TargetOptions) { o.MountFrom = from })
			outcome, err := to.PushBlob(t.Context(), describe(blob), bytes.NewReader(blob), nil)
			if err != nil || outcome != c.want {
				t.Errorf("PushBlob = %q, %v, want %q", outcome, err, c.want)
			}
			if len(queries) == 0 || !strings.Contains(queries[0], "mount=sha256") || strings.Contains(queries[0], "from=other") != (c.from != "") {
				t.Errorf("asked with %q", queries)
			}
			if c.refused != (len(queries) == 2) {
				t.Errorf("asked %d times", len(queries))
			}
		})
	}
}
