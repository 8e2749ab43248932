package faultserver_test

import (
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"regexp"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/mstore/mstore/internal/faultserver"
)

// How a connection ended.
const (
	closed  = "closed"
	reset   = "reset"
	silent  = "silent"
	goingOn = "going on" // more than was read
)

// wire is what came over a connection.
type wire struct {
	head, body string
	end        string
}

// listen asks for a range of the blob, over TCP, and takes what comes.
func listen(t *testing.T, s *faultserver.Server, header string, patience time.Duration) wire {
	t.Helper()
	conn, err := net.Dial("tcp", s.Host())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if _, err := fmt.Fprintf(conn, "GET %s HTTP/1.1\r\nHost: %s\r\n%s\r\n", path, s.Host(), header); err != nil {
		t.Fatal(err)
	}
	_ = conn.SetReadDeadline(time.Now().Add(patience))
	all, err := io.ReadAll(io.LimitReader(conn, 4<<20))
	var w wire
	w.head, w.body, _ = strings.Cut(string(all), "\r\n\r\n")
	switch {
	case errors.Is(err, syscall.ECONNRESET):
		w.end = reset
	case errors.Is(err, os.ErrDeadlineExceeded):
		w.end = silent
	case err != nil:
		t.Fatal(err)
	case len(all) == 4<<20:
		w.end = goingOn
	default:
		w.end = closed
	}
	return w
}

// What is asked for of the blob, and where it goes wrong.
const (
	from = 500
	at   = 1000
)

var all = sync.OnceValue(func() string { return string(content().Bytes()) })

func blob(from, to int) string { return all()[from:to] }

// sight is what a fault looks like to who asks for the bytes from 500 on, when it happens at 1000. Heads are regular
// expressions of lines that have to be there; with a "!" before, not to be there.
type sight struct {
	head []string
	body func(string) bool
	end  string // closed when empty; any when "any"
}

func is(want string) func(string) bool { return func(got string) bool { return got == want } }

func begins(want string) func(string) bool {
	return func(got string) bool { return strings.HasPrefix(got, want) && len(got) > len(want) }
}

func plain(code int) sight {
	return sight{head: []string{fmt.Sprintf("^HTTP/1.1 %d ", code)}, body: is("said by the fault server")}
}

var (
	whole = is(blob(0, blobSize))
	right = is(blob(from, blobSize))
	cut   = is(blob(from, at))
	full  = fmt.Sprintf("Content-Length: %d$", blobSize-from)
)

// said is what an answer with the right bytes and other headers looks like.
func said(head ...string) sight { return sight{head: head, body: right} }

// flipped is with the bit at an offset turned.
func flipped(got string) bool {
	b := []byte(got)
	if len(b) != blobSize-from {
		return false
	}
	b[at-from] ^= 1
	return right(string(b))
}

func redirects(to string) sight {
	return sight{head: []string{"^HTTP/1.1 302 ", "^Location: " + to}, body: func(string) bool { return true }}
}

// sights are the faults of a blob on a server without TLS, tokens and second host.
var sights = map[string]sight{
	"1 range answered with the whole":       {head: []string{"^HTTP/1.1 200 ", "!^Content-Range"}, body: whole},
	"2 206 that says it begins a byte late": said("^HTTP/1.1 206 ", "^Content-Range: bytes 501-307277/307278$"),
	"2 206 that begins a byte late": {
		head: []string{"^HTTP/1.1 206 ", "^Content-Range: bytes 501-307276/307277$"}, body: is(blob(from+1, blobSize)),
	},
	"2 206 with another total":              said("^HTTP/1.1 206 ", "^Content-Range: bytes 500-307276/307276$"),
	"2 206 with a larger total":             said("^HTTP/1.1 206 ", "^Content-Range: bytes 500-307276/307278$"),
	"2 206 without a total":                 said("^HTTP/1.1 206 ", `^Content-Range: bytes 500-307276/\*$`),
	"2 206 with a Content-Range of garbage": said("^HTTP/1.1 206 ", "^Content-Range: bytes -1--2/-3$"),
	"2 206 without Content-Range":           said("^HTTP/1.1 206 ", "!^Content-Range"),
	"2 206 of the bytes before": {
		head: []string{"^HTTP/1.1 206 ", "^Content-Range: bytes 400-307276/307277$"}, body: is(blob(400, blobSize)),
	},
	"2 200 with Content-Range": said("^HTTP/1.1 200 ", "^Content-Range: bytes 500-"),
	"3 206 multipart/byteranges": {
		head: []string{"^HTTP/1.1 206 ", "^Content-Type: multipart/byteranges; boundary=faultserver$", "!^Content-Range"},
		body: is("--faultserver\r\nContent-Type: application/octet-stream\r\nContent-Range: bytes 500-307276/307277\r\n\r\n" +
			blob(from, blobSize) + "\r\n--faultserver--\r\n"),
	},
	"4 ETag changes with every answer":          said("^HTTP/1.1 206 ", `^ETag: "version-1"$`),
	"4 Last-Modified changes with every answer": said("^HTTP/1.1 206 ", "^Last-Modified: Thu, 01 Jan 2026 00:00:01 GMT$"),
	"4 other bytes under another ETag": {head: []string{`^ETag: "another version"$`, full}, body: func(got string) bool {
		return len(got) == blobSize-from && got[0] == ^content().Bytes()[from]
	}},
	"5 416 to every range":               {head: []string{"^HTTP/1.1 416 ", `^Content-Range: bytes \*/307277$`}, body: is("no such range")},
	"5 416 with another size":            {head: []string{"^HTTP/1.1 416 ", `^Content-Range: bytes \*/307284$`}, body: is("no such range")},
	"8 body shorter than Content-Length": {head: []string{"^HTTP/1.1 206 ", full}, body: cut},
	"8 206 shorter than its Content-Range, and says so": {
		head: []string{"^HTTP/1.1 206 ", "^Content-Range: bytes 500-999/307277$", "^Content-Length: 500$"}, body: cut,
	},
	"9 chunked body closed early":    {head: []string{"^Transfer-Encoding: chunked$"}, body: is("1f4\r\n" + blob(from, at) + "\r\n")},
	"9 chunk size that overflows":    {head: []string{"^Transfer-Encoding: chunked$"}, body: is("1f4\r\n" + blob(from, at) + "\r\nffffffffffffffffff\r\n")},
	"9 chunk size that is negative":  {head: []string{"^Transfer-Encoding: chunked$"}, body: is("1f4\r\n" + blob(from, at) + "\r\n-5\r\n")},
	"9 chunk size that is no number": {head: []string{"^Transfer-Encoding: chunked$"}, body: is("1f4\r\n" + blob(from, at) + "\r\nmany\r\n")},
	"10 no length, closed early":     {head: []string{"!^Content-Length", "!^Transfer-Encoding"}, body: cut},
	"10 no length, closed when done": {head: []string{"!^Content-Length", "!^Transfer-Encoding"}, body: right},
	"11 longer than Content-Length":  {head: []string{full}, body: is(blob(from, blobSize) + strings.Repeat("x", 1<<20))},
	"11 no length, and longer than asked for": {
		head: []string{"!^Content-Length"}, body: is(blob(from, blobSize) + strings.Repeat("x", 1<<20)),
	},
	"11 Content-Length longer than asked for": {
		head: []string{fmt.Sprintf("Content-Length: %d$", blobSize-from+1<<20)}, body: is(blob(from, blobSize) + strings.Repeat("x", 1<<20)),
	},
	"11 range longer than asked for": said("^Content-Range: bytes 500-307276/307277$"), // and TestRangeLonger
	"11 no length, and no end":       {head: []string{"!^Content-Length"}, body: begins(blob(from, blobSize)), end: goingOn},
	"11 chunked, and no end":         {head: []string{"^Transfer-Encoding: chunked$"}, body: begins("40000\r\n" + blob(from, from+256<<10)), end: goingOn},

	"12 silence before the header": {body: is(""), end: silent},
	"12 silence in the header":     {head: []string{"^Content-Le$"}, body: is(""), end: silent},
	"12 silence after the header":  {head: []string{full}, body: is(""), end: silent},
	"12 silence midway":            {head: []string{full}, body: cut, end: silent},
	"13 a byte now and then":       {head: []string{full}, body: begins(blob(from, at)), end: silent},

	"14 429": plain(429), "14 503": plain(503), "14 408": plain(408), "14 425": plain(425),
	"14 429 with Retry-After in seconds":             retry(429, "0"),
	"14 503 with Retry-After as a date":              retry(503, ".*GMT"),
	`14 429 with Retry-After "99999999999999999999"`: retry(429, "99999999999999999999"),
	`14 429 with Retry-After "-7"`:                   retry(429, "-7"),
	`14 429 with Retry-After "soon"`:                 retry(429, "soon"),
	`14 429 with Retry-After "\x1b[31m"`:             retry(429, `\x1b\[31m`),
	"14 503 with Retry-After of a year":              retry(503, "31536000"),
	"15 500":                                         plain(500), "15 502": plain(502), "15 504": plain(504),
	"15 500 to every other request": plain(500),             // and TestEveryOther
	"15 502 at random, 5 %":         said("^HTTP/1.1 206 "), // and TestAtRandom
	"16 404 after the manifest":     plain(404), "16 410 after the manifest": plain(410),
	"17 401 without a challenge": {head: []string{"^HTTP/1.1 401 ", "!^WWW-Authenticate"}, body: is("said by the fault server")},

	"19 redirect to file:":                  redirects("file:///"),
	"19 redirect to ftp:":                   redirects("ftp://"),
	"19 redirect to data:":                  redirects("data:"),
	"19 redirect to a link-local address":   redirects(`http://169\.254\.`),
	"19 redirect to a private address":      redirects(`http://10\.`),
	"19 redirect to an unspecified address": redirects(`http://0\.0\.0\.0:`),
	"19 redirect to a URL with a password":  redirects("http://user:secret@"),
	"19 redirect to garbage":                redirects(`http://\[::1/\x1b`),
	"19 redirect to itself":                 redirects(`http://127\.0\.0\.1:\d+` + path + `\?$`),
	"19 redirect round in a circle":         redirects(`.*\?step=1$`), // and TestHops
	"19 redirect of eleven hops":            redirects(`.*\?step=1$`), // as above
	"19 redirect without Location":          {head: []string{"^HTTP/1.1 302 ", "!^Location"}, body: is("said by the fault server")},

	"21 gzip of the whole":                  {head: []string{"^HTTP/1.1 200 ", "^Content-Encoding: gzip$", "^Transfer-Encoding: chunked"}, body: begins("a\r\n\x1f\x8b")},
	"21 gzip of the whole without a length": {head: []string{"^HTTP/1.1 200 ", "^Content-Encoding: gzip$", "!^Transfer-Encoding"}, body: func(b string) bool { return whole(gunzip(b)) }},
	"21 gzip on a 206":                      {head: []string{"^HTTP/1.1 206 ", "^Content-Encoding: gzip$"}, body: begins("a\r\n\x1f\x8b")},
	"21 gzip that is none":                  {head: []string{"^HTTP/1.1 200 ", "^Content-Encoding: gzip$"}, body: whole},
	"22 gzip bomb":                          {head: []string{"^HTTP/1.1 200 ", "^Content-Encoding: gzip$"}, body: bomb, end: goingOn},

	"23 Content-Length twice":                said("^"+full, "!^Transfer-Encoding"), // and TestContentLengths
	"23 Content-Length twice, and different": said("^"+full, "^Content-Length: 3067770$"),
	"23 Content-Length that is negative":     said("^Content-Length: -1$"),
	"23 Content-Length of letters":           said("^Content-Length: 0x10$"),
	"23 Content-Length that overflows":       said("^Content-Length: 99999999999999999999$"),
	"23 Content-Length with a sign":          said(`^Content-Length: \+306777$`),
	"23 Content-Length with chunks": {
		head: []string{"^Content-Length: 5$", "^Transfer-Encoding: chunked$"}, body: begins("40000\r\n" + blob(from, from+256<<10)),
	},

	"24 100 MB of header":          {head: []string{"^HTTP/1.1 200 OK", "^X-Much: x{1000}$"}, body: is(""), end: goingOn},
	"24 one header line of 100 MB": {head: []string{"^X-Much: x{1000}"}, body: is(""), end: goingOn},
	"24 a flood of 1xx":            {head: []string{"^HTTP/1.1 103 "}, body: func(b string) bool { return strings.Count(b, "HTTP/1.1 103 ") > 10_000 }, end: goingOn},
	"24 10 000 header lines":       said("^X-Many-0: x$", "^X-Many-9999: x$"),
	"24 some 1xx":                  {head: []string{"^HTTP/1.1 103 "}, body: func(b string) bool { return strings.Contains(b, "\r\n\r\nHTTP/1.1 206 ") }},
	"24 NUL in a header":           said("^X-Nul: a\x00b$"),
	"24 ESC in a header":           said("^X-Escape: \x1b\\[31mred"),
	"24 a status line of garbage":  {head: []string{"^\x1b\\[2JHTTP/9.9 two hundred$"}, body: is("")},

	"26 RST midway":                           {body: func(b string) bool { return strings.HasPrefix(blob(from, at), b) }, end: reset},
	"26 RST after the last byte":              {body: func(b string) bool { return strings.HasPrefix(blob(from, blobSize), b) }, end: reset},
	"26 FIN without data":                     {body: is("")},
	"26 RST without data":                     {body: is(""), end: reset},
	"26 kept-alive connection that is closed": said(full, "!^Connection"),

	"28 one bit wrong":                    {head: []string{full}, body: flipped},
	"29 one bit wrong in what is resumed": {head: []string{full}, body: flipped},

	"34 Content-Disposition that leads up":         said(`^Content-Disposition: attachment; filename="../../x"$`),
	"34 Content-Disposition with an absolute path": said(`^Content-Disposition: attachment; filename=/etc/x; filename\*=UTF-8''%2Fetc%2Fx$`),
	"34 Content-Disposition with a drive":          said(`^Content-Disposition: attachment; filename="C:\\\\x"$`),
	"34 Content-Disposition with ESC":              said(`^Content-Disposition: attachment; filename\*=UTF-8''%1B`),
	"34 redirect to a path that leads up":          redirects(".*\\?name=..%2f..%2f"),
}

func retry(code int, after string) sight {
	s := plain(code)
	s.head = append(s.head, "^Retry-After: "+after+"$")
	return s
}

// bomb tells whether a little unpacks to a lot.
func bomb(got string) bool {
	z, err := gzip.NewReader(strings.NewReader(got))
	if err != nil {
		return false
	}
	n, _ := io.Copy(io.Discard, io.LimitReader(z, 100<<20))
	return n == 100<<20
}

// TestTheWire looks at each fault with nothing between: no client that could hide it.
func TestTheWire(t *testing.T) {
	for name, want := range sights {
		t.Run(name, func(t *testing.T) {
			f, ok := faultserver.Named(name)
			if !ok {
				t.Fatal("there is no such fault")
			}
			s := serve(t, faultserver.Options{Faults: []faultserver.Injection{{Fault: f, Offset: at, Every: 10 * time.Millisecond}}})
			patience := 5 * time.Second
			if want.end == silent {
				patience = 100 * time.Millisecond
			}
			header := fmt.Sprintf("Range: bytes=%d-\r\nConnection: close\r\n", from)
			if strings.Contains(name, "26 kept-alive") {
				header = fmt.Sprintf("Range: bytes=%d-\r\n", from)
			}
			want.check(t, listen(t, s, header, patience))
			if got := s.Requests(); len(got) != 1 || got[0].Fault != name {
				t.Errorf("counted %+v", got)
			}
		})
	}
}

func (want sight) check(t *testing.T, got wire) {
	t.Helper()
	lines := strings.Split(got.head, "\r\n")
	for _, pattern := range want.head {
		p, not := strings.CutPrefix(pattern, "!")
		if found := slices.ContainsFunc(lines, regexp.MustCompile(p).MatchString); found == not {
			t.Errorf("%q is not so in the header:\n%.600s", pattern, got.head)
		}
	}
	if !want.body(got.body) {
		t.Errorf("the body is %d bytes, and other ones: %.100q", len(got.body), got.body)
	}
	if want.end == "" {
		want.end = closed
	}
	if got.end != want.end {
		t.Errorf("the connection is %s, want it %s", got.end, want.end)
	}
}

// gunzip is empty for what is no gzip.
func gunzip(s string) string {
	z, err := gzip.NewReader(strings.NewReader(s))
	if err != nil {
		return ""
	}
	all, _ := io.ReadAll(io.LimitReader(z, 2*blobSize))
	return string(all)
}
