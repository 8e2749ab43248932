package faultserver_test

import (
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/mstore/mstore/internal/faultserver"
)

// floor is how many faults there were when this was written; none goes without a word.
const floor = 144

// elsewhere are the cases that no server has, with where they are.
var elsewhere = map[int]string{
	6:  "a state of the client: TestBehaved has the server's part",
	7:  "as 6",
	31: "below a server: a dialer",
	32: "any fault, by Only or Skip: TestOneRangeOfMany",
	33: "Count: TestCount",
}

func TestTable(t *testing.T) {
	all := faultserver.Faults()
	if len(all) < floor {
		t.Errorf("%d faults, fewer than %d", len(all), floor)
	}
	byCase, names := map[int]int{}, map[string]bool{}
	for _, f := range all {
		byCase[f.Case]++
		if !strings.HasPrefix(f.Name, fmt.Sprint(f.Case, " ")) || names[f.Name] {
			t.Errorf("%q is no name, or two have it", f.Name)
		}
		names[f.Name] = true
		if f.Overcome && !f.Passing {
			t.Errorf("%q is overcome, but not when it has passed", f.Name)
		}
	}
	for n := 1; n <= 35; n++ {
		if _, other := elsewhere[n]; other == (byCase[n] > 0) {
			t.Errorf("case %d has %d faults", n, byCase[n])
		}
	}
	t.Logf("%d faults of the cases %v", len(all), slices.Sorted(maps.Keys(byCase)))
}

// TestEachFaultIsShown: no fault without a test that looks at what it does.
func TestEachFaultIsShown(t *testing.T) {
	shown := slices.Concat(
		slices.Collect(maps.Keys(sights)), slices.Collect(maps.Keys(handshakes)), slices.Collect(maps.Keys(frames)),
		slices.Collect(maps.Keys(tunnels)), slices.Collect(maps.Keys(manifests)), slices.Collect(maps.Keys(uploads)),
		slices.Collect(maps.Keys(expiries)), slices.Collect(maps.Keys(credentials)), []string{"19 redirect from https to http"},
	)
	for _, f := range faultserver.Faults() {
		if !slices.Contains(shown, f.Name) {
			t.Errorf("no test shows %q", f.Name)
		}
	}
}

func TestPlaces(t *testing.T) {
	var n int
	for _, place := range []faultserver.Where{
		faultserver.OnBlob, faultserver.OnRedirect, faultserver.OnManifest, faultserver.OnTLS,
		faultserver.OnHTTP2, faultserver.OnUpload, faultserver.OnProxy,
	} {
		if len(faultserver.On(place)) == 0 {
			t.Errorf("no fault on %s", place)
		}
		n += len(faultserver.On(place))
	}
	if n != len(faultserver.Faults()) {
		t.Errorf("%d faults have a place, of %d", n, len(faultserver.Faults()))
	}
	if _, ok := faultserver.Named("36 something"); ok {
		t.Error("a fault that nobody made")
	}
}

// TestOneRangeOfMany (32): the fault meets the range that holds its offset, or those after the first few.
func TestOneRangeOfMany(t *testing.T) {
	broken := named(t, "15 500")
	for name, c := range map[string]struct {
		in   faultserver.Injection
		want string // a status for each of four ranges, in order, twice
	}{
		"all":                  {faultserver.Injection{}, "500 500 500 500 500 500 500 500"},
		"those from a byte on": {faultserver.Injection{Offset: 250}, "206 206 500 500 206 206 500 500"},
		"the last byte":        {faultserver.Injection{Offset: 399}, "206 206 206 500 206 206 206 500"},
		"one":                  {faultserver.Injection{Offset: 200, Only: true}, "206 206 500 206 206 206 500 206"},
		"one, once":            {faultserver.Injection{Offset: 299, Only: true, Times: 1}, "206 206 500 206 206 206 206 206"},
		"the later":            {faultserver.Injection{Skip: 5}, "206 206 206 206 206 500 500 500"},
		"some in the middle":   {faultserver.Injection{Skip: 2, Times: 3}, "206 206 500 500 500 206 206 206"},
		"of another blob":      {faultserver.Injection{Path: "/other"}, "206 206 206 206 206 206 206 206"},
		"of this blob":         {faultserver.Injection{Path: path, Times: 1}, "500 206 206 206 206 206 206 206"},
	} {
		t.Run(name, func(t *testing.T) {
			c.in.Fault = broken
			s := serve(t, faultserver.Options{Faults: []faultserver.Injection{c.in}})
			cl := client(t, s)
			var got []string
			for i := range int64(8) {
				got = append(got, fmt.Sprint(ask(t, cl, s.URL(path), "Range", rangeOf(i%4*100, i%4*100+100)).StatusCode))
			}
			if strings.Join(got, " ") != c.want {
				t.Errorf("answered %s, want %s", got, c.want)
			}
		})
	}
}

func TestEveryOther(t *testing.T) {
	s := serve(t, faultserver.Options{Faults: []faultserver.Injection{{Fault: named(t, "15 500 to every other request")}}})
	c := client(t, s)
	for i := range 6 {
		if got, want := ask(t, c, s.URL(path)).StatusCode, []int{500, 200}[i%2]; got != want {
			t.Errorf("request %d: %d, want %d", i, got, want)
		}
	}
}

// TestAtRandom: the same five in a hundred each time, which is what a test wants of chance.
func TestAtRandom(t *testing.T) {
	s := serve(t, faultserver.Options{Faults: []faultserver.Injection{{Fault: named(t, "15 502 at random, 5 %")}}})
	c := client(t, s)
	bad := 0
	for range 400 {
		if ask(t, c, s.URL(path), "Range", "bytes=0-0").StatusCode == 502 {
			bad++
		}
	}
	if bad < 12 || bad > 28 {
		t.Errorf("%d of 400 were answered 502, want about 20", bad)
	}
}

func TestRangeLonger(t *testing.T) {
	s := serve(t, faultserver.Options{Faults: []faultserver.Injection{{Fault: named(t, "11 range longer than asked for")}}})
	g := ask(t, client(t, s), s.URL(path), "Range", rangeOf(10, 20))
	g.want(t, 206, 10, blobSize)
	if want := fmt.Sprintf("bytes 10-%d/%d", blobSize-1, blobSize); g.Header.Get("Content-Range") != want {
		t.Errorf("Content-Range %q, want %q", g.Header.Get("Content-Range"), want)
	}
}

// TestContentLengths: there are two lines of the header, or chunks as well.
func TestContentLengths(t *testing.T) {
	for name, want := range map[string]int{"23 Content-Length twice": 2, "23 Content-Length twice, and different": 2, "23 Content-Length with chunks": 1} {
		s := serve(t, faultserver.Options{Faults: []faultserver.Injection{{Fault: named(t, name)}}})
		if got := strings.Count(listen(t, s, "Connection: close\r\n", 5e9).head, "Content-Length:"); got != want {
			t.Errorf("%s: %d lines", name, got)
		}
	}
}

// TestValidators (4): who holds an ETag against If-Range is told that the content is another.
func TestValidators(t *testing.T) {
	for _, f := range faultserver.Faults() {
		if f.Case != 4 {
			continue
		}
		s := serve(t, faultserver.Options{Faults: []faultserver.Injection{{Fault: f}}})
		c := client(t, s)
		first := ask(t, c, s.URL(path), "Range", "bytes=0-9")
		validator := first.Header.Get("ETag") + first.Header.Get("Last-Modified")
		second := ask(t, c, s.URL(path), "Range", "bytes=10-19", "If-Range", validator)
		if validator == "" || second.StatusCode != 200 || len(second.body) != blobSize {
			t.Errorf("%s: %s with %d bytes, want all", f.Name, second.Status, len(second.body))
		}
	}
}

// TestBehaved is the server without faults, as RFC 9110 has it.
func TestBehaved(t *testing.T) {
	const etag, date = `"v1"`, "Thu, 01 Jan 2026 00:00:00 GMT"
	header := http.Header{"Etag": {etag}, "Last-Modified": {date}, "X-Linked-Etag": {"x"}}
	for _, size := range []int64{blobSize, 0} {
		s := serve(t, faultserver.Options{Blobs: []faultserver.Blob{{Path: path, Data: faultserver.Content(1, size), Size: size, Header: header}}})
		c := client(t, s)
		last := max(0, size-1)
		for _, q := range []struct {
			header   []string
			status   int
			from, to int64
		}{
			{nil, 200, 0, size},
			{[]string{"Range", fmt.Sprintf("bytes=0-%d", last)}, 206, 0, size},
			{[]string{"Range", "bytes=5-"}, 206, 5, size},
			{[]string{"Range", "bytes=0-99999999999"}, 206, 0, size},
			{[]string{"Range", fmt.Sprintf("bytes=%d-", last)}, 206, last, size},
			{[]string{"Range", "bytes=-3"}, 206, size - 3, size},
			{[]string{"Range", fmt.Sprintf("bytes=%d-", size)}, 416, 0, 0},
			{[]string{"Range", fmt.Sprintf("bytes=%d-%d", size+5, size+9)}, 416, 0, 0},
			{[]string{"Range", "bytes=0-1,3-4"}, 200, 0, size},
			{[]string{"Range", "bytes=9-3"}, 200, 0, size},
			{[]string{"Range", "pages=1-2"}, 200, 0, size},
			{[]string{"Range", "bytes=5-9", "If-Range", etag}, 206, 5, 10},
			{[]string{"Range", "bytes=5-9", "If-Range", date}, 206, 5, 10},
			{[]string{"Range", "bytes=5-9", "If-Range", `"v2"`}, 200, 0, size},
			{[]string{"If-None-Match", etag}, 304, 0, 0},
		} {
			if size == 0 && q.status == 206 {
				q.status, q.from, q.to = 416, 0, 0
			}
			g := ask(t, c, s.URL(path), q.header...)
			switch q.status {
			case 416:
				if want := fmt.Sprintf("bytes */%d", size); g.StatusCode != 416 || g.Header.Get("Content-Range") != want {
					t.Errorf("%q of %d: %s, %q", q.header, size, g.Status, g.Header.Get("Content-Range"))
				}
				continue
			case 206:
				if want := fmt.Sprintf("bytes %d-%d/%d", q.from, q.to-1, size); g.Header.Get("Content-Range") != want {
					t.Errorf("%q: Content-Range %q, want %q", q.header, g.Header.Get("Content-Range"), want)
				}
			}
			if g.StatusCode != q.status || string(g.body) != string(content().Bytes()[q.from:q.to]) || g.Header.Get("ETag") != etag {
				t.Errorf("%q of %d: %s with %d bytes", q.header, size, g.Status, len(g.body))
			}
		}
		if n := s.Count().Connections; n != 1 {
			t.Errorf("%d connections: it does not keep them", n)
		}
	}
}

// TestCount (33): what was asked and sent, by whom and how much at once.
func TestCount(t *testing.T) {
	s := serve(t, faultserver.Options{})
	c := client(t, s)
	ask(t, c, s.URL(path), "Range", rangeOf(0, 100), "Authorization", "x")
	ask(t, c, s.URL(path), "Range", rangeOf(100, 300), "Cookie", "x=y")
	ask(t, c, s.URL(path))
	ask(t, c, s.URL("/no?query=1"))
	got := s.Count()
	if got.Requests != 4 || got.Connections != 1 || got.MostConnections != 1 || got.MostRequests != 1 || got.Secrets != 2 {
		t.Errorf("counted %+v", got)
	}
	at := got.Paths[path]
	if at.Requests != 3 || at.Sent != blobSize+300 || !slices.Equal(at.Ranges, []faultserver.Span{{From: 0, To: 100}, {From: 100, To: 300}, {From: 0, To: blobSize}}) {
		t.Errorf("counted %+v of the blob", at)
	}
	if got.Wire <= got.Sent || got.Wire > got.Sent+2000 || got.Hosts[s.Host()].Requests != 4 {
		t.Errorf("%d bytes on the wire, %d of bodies", got.Wire, got.Sent)
	}
	last := s.Requests()[3]
	if last.Path != "/no" || last.Query != "query=1" || last.Status != 404 || last.Method != http.MethodGet || last.Conn != 1 || last.Header.Get("User-Agent") == "" {
		t.Errorf("noted %+v", last)
	}
}
