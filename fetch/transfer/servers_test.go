package transfer_test

import (
	"compress/gzip"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/mstore/mstore/fetch/transfer"
)

// first answers the first n requests with bad and the others well.
func first(n int64, bad http.HandlerFunc) http.HandlerFunc {
	var count atomic.Int64
	return func(w http.ResponseWriter, r *http.Request) {
		if count.Add(1) <= n {
			bad(w, r)
			return
		}
		good(w, r)
	}
}

func status(code int, header ...string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		for i := 0; i < len(header); i += 2 {
			w.Header().Set(header[i], header[i+1])
		}
		w.WriteHeader(code)
	}
}

// offset is where the range of a request begins; 0 without one.
func offset(r *http.Request) int {
	from, _, _ := strings.Cut(strings.TrimPrefix(r.Header.Get("Range"), "bytes="), "-")
	n, _ := strconv.Atoi(from)
	return n
}

// ranged answers a request for a range with a header of its own and the right bytes; others well.
func ranged(header func(w http.ResponseWriter, off int)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Range") == "" {
			good(w, r)
			return
		}
		off := offset(r)
		header(w, off)
		w.WriteHeader(http.StatusPartialContent)
		_, _ = w.Write(blob(blobSize)[off:])
	}
}

// raw answers with bytes of its own making, to break HTTP itself.
func raw(text func(off int) string, end func(conn net.Conn)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		conn, buf, err := w.(http.Hijacker).Hijack()
		if err != nil {
			panic(err)
		}
		_, _ = buf.WriteString(text(offset(r)))
		_ = buf.Flush()
		end(conn)
	}
}

func fin(conn net.Conn) { _ = conn.Close() }

func rst(conn net.Conn) {
	_ = conn.(*net.TCPConn).SetLinger(0)
	_ = conn.Close()
}

// part is an answer to a range that ends after n bytes, whatever it said of its length.
func part(n int) func(off int) string {
	return func(off int) string {
		return fmt.Sprintf("HTTP/1.1 206 Partial Content\r\nContent-Length: %d\r\nContent-Range: bytes %d-%d/%d\r\n\r\n%s",
			blobSize-off, off, blobSize-1, blobSize, blob(blobSize)[off:min(off+n, blobSize)])
	}
}

// misbehaving are servers by their number in the list of what servers do; each must be overcome.
var misbehaving = map[string]http.HandlerFunc{
	"1 no ranges": func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(blob(blobSize)) },
	"2 wrong start": ranged(func(w http.ResponseWriter, off int) {
		w.Header().Set("Content-Range", fmt.Sprintf("bytes %d-%d/%d", off+1, blobSize-1, blobSize))
	}),
	"2 wrong total": ranged(func(w http.ResponseWriter, off int) {
		w.Header().Set("Content-Range", fmt.Sprintf("bytes %d-%d/%d", off, blobSize-2, blobSize-1))
	}),
	"2 garbage": ranged(func(w http.ResponseWriter, _ int) { w.Header().Set("Content-Range", "bytes -1--2/-3") }),
	"2 none":    ranged(func(http.ResponseWriter, int) {}),
	"2 200 with a range": func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Range") != "" {
			w.Header().Set("Content-Range", fmt.Sprintf("bytes %d-%d/%d", offset(r), blobSize-1, blobSize))
			_, _ = w.Write(blob(blobSize)[offset(r):])
			return
		}
		good(w, r)
	},
	"2 total unknown": ranged(func(w http.ResponseWriter, off int) {
		w.Header().Set("Content-Range", fmt.Sprintf("bytes %d-%d/*", off, blobSize-1))
	}),
	"3 multipart": ranged(func(w http.ResponseWriter, _ int) {
		w.Header().Set("Content-Type", "multipart/byteranges; boundary=x")
	}),
	"5 416 to every range": func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Range") != "" {
			status(http.StatusRequestedRangeNotSatisfiable)(w, r)
			return
		}
		good(w, r)
	},
	"8 shorter than said": first(3, raw(part(300<<10), fin)),
	"9 chunked, closed early": first(3, raw(func(int) string {
		return "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n" + string(blob(2))
	}, fin)),
	"9 chunk size overflows": first(3, raw(func(int) string { return "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nffffffffffffffffff\r\n" }, fin)),
	"10 no length, short":    first(3, raw(func(int) string { return "HTTP/1.0 200 OK\r\n\r\n" + string(blob(blobSize)[:100<<10]) }, fin)),
	"11 longer than asked for": raw(func(off int) string {
		return strings.Replace(part(blobSize)(off), "Content-Length", "X-Length", 1) + strings.Repeat("x", 1<<20)
	}, fin),
	"14 429":                  first(3, status(429, "Retry-After", "0")),
	"14 503 with a date past": first(3, status(503, "Retry-After", "Mon, 02 Jan 2006 15:04:05 GMT")),
	"14 408":                  first(3, status(408)),
	"14 425":                  first(3, status(425)),
	"15 500":                  first(5, status(500)),
	"15 502":                  first(5, status(502)),
	"15 504":                  first(5, status(504)),
	"21 gzip of the whole": func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Encoding", "gzip")
		z := gzip.NewWriter(w)
		_, _ = z.Write(blob(blobSize))
		_ = z.Close()
	},
	"21 gzip that is not": func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Encoding", "gzip")
		w.Header().Set("Content-Length", strconv.Itoa(blobSize))
		_, _ = w.Write(blob(blobSize))
	},
	"21 gzip on a 206": ranged(func(w http.ResponseWriter, off int) {
		w.Header().Set("Content-Encoding", "gzip")
		w.Header().Set("Content-Range", fmt.Sprintf("bytes %d-%d/%d", off, blobSize-1, blobSize))
	}),
	"26 reset midway":          first(3, raw(part(200<<10), rst)),
	"26 reset after the last":  first(1, raw(part(blobSize), rst)),
	"26 closed without a word": first(3, raw(func(int) string { return "" }, fin)),
	"26 reset without a word":  first(3, raw(func(int) string { return "" }, rst)),
	"cut every 100 KB":         raw(part(100<<10), fin),
}

func TestServersThatMisbehave(t *testing.T) {
	for name, handler := range misbehaving {
		for _, had := range []int{0, 1, 512<<10 + 7, blobSize - 1} {
			t.Run(fmt.Sprint(name, "/", had), func(t *testing.T) {
				s := newSink(blobSize, had)
				stats, err := run(t.Context(), s, []transfer.Origin{serve(t, handler)}, nowait())
				if err != nil {
					t.Fatal(err)
				}
				s.wantBlob(t, blobSize)
				if stats.Bytes != blobSize-int64(had) {
					t.Errorf("Stats.Bytes = %d, want %d", stats.Bytes, blobSize-had)
				}
			})
		}
	}
}

// TestServersThatCannotBeOvercome must end, soon and with an error that says what it was.
func TestServersThatCannotBeOvercome(t *testing.T) {
	var code *transfer.StatusError
	for name, c := range map[string]struct {
		handler http.HandlerFunc
		is      func(error) bool
		asked   int64
	}{
		"16 404":          {status(404), func(err error) bool { return errors.As(err, &code) && code.Status == 404 }, 1},
		"16 410":          {status(410), func(err error) bool { return errors.As(err, &code) && code.Status == 410 }, 1},
		"403":             {status(403), func(err error) bool { return errors.As(err, &code) && code.Status == 403 }, 1},
		"416 always":      {status(416), func(err error) bool { return errors.As(err, &code) && code.Status == 416 }, 7},
		"15 500 for good": {status(500), func(err error) bool { return errors.As(err, &code) && code.Status == 500 }, 6},
		"always short":    {raw(part(0), fin), func(err error) bool { return errors.Is(err, transfer.ErrInterrupted) }, 6},
		"20 other credentials": {
			status(401, "WWW-Authenticate", "Basic"), func(err error) bool { return errors.As(err, &code) && code.Status == 401 }, 1,
		},
	} {
		t.Run(name, func(t *testing.T) {
			var asked atomic.Int64
			o := serve(t, func(w http.ResponseWriter, r *http.Request) { asked.Add(1); c.handler(w, r) })
			_, err := run(t.Context(), newSink(blobSize, 100), []transfer.Origin{o}, nowait())
			if !c.is(err) {
				t.Errorf("Run = %v", err)
			}
			if asked.Load() > c.asked {
				t.Errorf("asked %d times, want at most %d", asked.Load(), c.asked)
			}
			if err != nil && strings.Contains(err.Error(), "secret") {
				t.Errorf("the error tells a secret: %v", err)
			}
		})
	}
}

func TestOriginsInTurn(t *testing.T) {
	var bad atomic.Int64
	broken := func(code int) transfer.Origin {
		return serve(t, func(w http.ResponseWriter, _ *http.Request) { bad.Add(1); w.WriteHeader(code) })
	}
	for name, c := range map[string]struct {
		origins []transfer.Origin
		bad     int64
	}{
		"the first has it":          {[]transfer.Origin{serve(t, good), broken(500)}, 0},
		"the first is broken":       {[]transfer.Origin{broken(500), serve(t, good)}, 1},
		"the first has it not":      {[]transfer.Origin{broken(404), serve(t, good)}, 1},
		"only the last has it":      {[]transfer.Origin{broken(404), broken(500), broken(403), serve(t, good)}, 3},
		"the first breaks midway":   {[]transfer.Origin{serve(t, raw(part(300<<10), rst)), serve(t, good)}, 0},
		"each gives a little of it": {[]transfer.Origin{serve(t, raw(part(99<<10), fin)), serve(t, raw(part(98<<10), rst))}, 0},
	} {
		t.Run(name, func(t *testing.T) {
			bad.Store(0)
			s := newSink(blobSize, 0)
			if _, err := run(t.Context(), s, c.origins, nowait()); err != nil {
				t.Fatal(err)
			}
			s.wantBlob(t, blobSize)
			if bad.Load() != c.bad {
				t.Errorf("bad origins were asked %d times, want %d", bad.Load(), c.bad)
			}
		})
	}
	if _, err := run(t.Context(), newSink(9, 0), nil, nowait()); err == nil {
		t.Error("no origin, and no error")
	}
	_, err := run(t.Context(), newSink(9, 0), []transfer.Origin{broken(404), broken(410)}, nowait())
	var code *transfer.StatusError
	if !errors.As(err, &code) || code.Status != 410 {
		t.Errorf("when no origin has it: %v, want what the last one said", err)
	}
}

// TestClosedRanges: some registries refuse a range without an end.
func TestClosedRanges(t *testing.T) {
	var mu sync.Mutex
	var asked []string
	o := serve(t, func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		asked = append(asked, r.Header.Get("Range")+" "+r.Header.Get("Accept-Encoding"))
		mu.Unlock()
		good(w, r)
	})
	for _, had := range []int{0, 77} {
		if _, err := run(t.Context(), newSink(blobSize, had), []transfer.Origin{o}, nowait()); err != nil {
			t.Fatal(err)
		}
	}
	want := fmt.Sprintf("[bytes=0-%d identity bytes=77-%d identity]", blobSize-1, blobSize-1)
	if got := fmt.Sprint(asked); got != want {
		t.Errorf("asked %s, want %s", got, want)
	}
}

func TestUnknownSize(t *testing.T) {
	for name, c := range map[string]struct {
		handler http.HandlerFunc
		had     int
	}{
		"fresh":              {good, 0},
		"resumed":            {good, 500},
		"without ranges":     {misbehaving["1 no ranges"], 500},
		"cut off":            {first(3, raw(part(300<<10), rst)), 0},
		"resumed at the end": {good, blobSize}, // 416 bytes */N
	} {
		t.Run(name, func(t *testing.T) {
			s := newUnknown(c.had)
			stats, err := run(t.Context(), s, []transfer.Origin{serve(t, c.handler)}, nowait())
			if err != nil || stats.End != blobSize {
				t.Fatalf("Run = %+v, %v; want the end at %d", stats, err, blobSize)
			}
			s.wantBlob(t, blobSize)
		})
	}
	s := newUnknown(blobSize + 9)
	if _, err := run(t.Context(), s, []transfer.Origin{serve(t, good)}, nowait()); err == nil {
		t.Error("a part that is longer than the blob was taken for it") // 416 with another N
	}
}

func TestWhatIsWholeIsNotAskedFor(t *testing.T) {
	o := serve(t, func(http.ResponseWriter, *http.Request) { t.Error("the origin was asked") })
	stats, err := run(t.Context(), newSink(9, 9), []transfer.Origin{o}, nowait())
	if err != nil || stats.Bytes+stats.Wasted != 0 {
		t.Errorf("Run = %+v, %v", stats, err)
	}
}

// TestSilence (12) is a server that stands still, at different places.
func TestSilence(t *testing.T) {
	for name, text := range map[string]func(off int) string{
		"before the headers": func(int) string { return "" },
		"after the headers":  func(off int) string { return part(0)(off) },
		"near the end":       func(off int) string { return part(blobSize - off - 1)(off) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			opts := nowait()
			opts.Stall = 500 * time.Millisecond
			o := serve(t, first(2, raw(text, func(conn net.Conn) {
				_, _ = conn.Read(make([]byte, 1)) // until the client hangs up
				_ = conn.Close()
			})))
			s := newSink(blobSize, 0)
			var seen error
			opts.Retry = func(_ int, _ time.Duration, err error) { seen = err }
			if _, err := run(t.Context(), s, []transfer.Origin{o}, opts); err != nil {
				t.Fatal(err)
			}
			s.wantBlob(t, blobSize)
			if _, ok := errors.AsType[*transfer.StallError](seen); !ok {
				t.Errorf("the retry was for %v, want a StallError", seen)
			}
		})
	}
}
