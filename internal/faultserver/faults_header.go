package faultserver

import (
	"bytes"
	"compress/gzip"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// dripEvery is how slow a drip is.
const dripEvery = time.Second

// silence ends a raw answer and is not sent, so that an answer of nothing is not an empty text.
const silence = "\x00"

func itoa(n int64) string { return strconv.FormatInt(n, 10) }

// answered is a fault that is another answer.
func answered(status int, header ...field) func(*exchange, *reply) {
	return func(_ *exchange, r *reply) {
		r.become(text(status, "text/plain", "said by the fault server", header...))
	}
}

// statusFaults answer with errors (14 to 16).
func statusFaults() []Fault {
	var all []Fault
	add := func(number int, name string, passing bool, apply func(*exchange, *reply)) {
		all = append(all, Fault{Case: number, Name: strconv.Itoa(number) + " " + name, Where: OnBlob, Passing: passing, apply: apply})
	}
	for _, status := range []int{429, 503, 408, 425} {
		add(14, strconv.Itoa(status), true, answered(status))
	}
	add(14, "429 with Retry-After in seconds", true, answered(429, field{"Retry-After", "0"}))
	add(14, "503 with Retry-After as a date", true, func(x *exchange, r *reply) {
		answered(503, field{"Retry-After", time.Now().UTC().Format(http.TimeFormat)})(x, r)
	})
	for _, absurd := range []string{"99999999999999999999", "-7", "soon", "\x1b[31m"} {
		add(14, "429 with Retry-After "+strconv.Quote(absurd), true, answered(429, field{"Retry-After", absurd}))
	}
	add(14, "503 with Retry-After of a year", true, answered(503, field{"Retry-After", "31536000"}))
	all[len(all)-1].Slow = true
	for _, status := range []int{500, 502, 504} {
		add(15, strconv.Itoa(status), true, answered(status))
	}
	for _, status := range []int{404, 410} {
		add(16, strconv.Itoa(status)+" after the manifest", false, answered(status))
	}
	return append(all,
		Fault{Case: 15, Name: "15 500 to every other request", Where: OnBlob, Overcome: true, Passing: true, apply: func(x *exchange, r *reply) {
			if x.times%2 == 1 {
				answered(500)(x, r)
			}
		}},
		Fault{Case: 15, Name: "15 502 at random, 5 %", Where: OnBlob, Overcome: true, Passing: true, apply: func(x *exchange, r *reply) {
			if uint64(x.times)*0x9E3779B97F4A7C15>>32%20 == 0 {
				answered(502)(x, r)
			}
		}},
	)
}

// encodingFaults compress, or say so (21, 22).
func encodingFaults() []Fault {
	zip := func(_ *exchange, r *reply) {
		r.set("Content-Encoding", "gzip")
		r.filter = func(w io.Writer) io.WriteCloser {
			z, _ := gzip.NewWriterLevel(w, gzip.BestSpeed) // a level that there is
			return z
		}
		r.framing = chunked
	}
	return []Fault{
		{Case: 21, Name: "21 gzip of the whole", Where: OnBlob, Overcome: true, Passing: true, apply: func(x *exchange, r *reply) {
			whole(x, r)
			zip(x, r)
		}},
		{Case: 21, Name: "21 gzip of the whole without a length", Where: OnBlob, Overcome: true, Passing: true, apply: func(x *exchange, r *reply) {
			whole(x, r)
			zip(x, r)
			r.framing, r.end = untilClose, fin
		}},
		{Case: 21, Name: "21 gzip on a 206", Where: OnBlob, ranged: true, Overcome: true, Passing: true, apply: zip},
		{Case: 21, Name: "21 gzip that is none", Where: OnBlob, Overcome: true, Passing: true, apply: func(x *exchange, r *reply) {
			whole(x, r)
			r.set("Content-Encoding", "gzip")
		}},
		{Case: 22, Name: "22 gzip bomb", Where: OnBlob, apply: func(x *exchange, r *reply) {
			whole(x, r)
			r.set("Content-Encoding", "gzip")
			m := packedZeros()
			r.fill(m, 0, int64(len(m))*bombMembers)
		}},
	}
}

// A gzip bomb is a file of many members: 16 GiB of zeros in about 16 MB.
const (
	bombMember  = 1 << 20 // bytes of zeros in each
	bombMembers = 16 << 10
)

// repeated is a text again and again.
type repeated []byte

func (t repeated) ReadAt(p []byte, off int64) (int, error) {
	for done := 0; done < len(p); {
		done += copy(p[done:], t[(off+int64(done))%int64(len(t)):])
	}
	return len(p), nil
}

func packedZeros() repeated {
	var packed bytes.Buffer
	z := gzip.NewWriter(&packed)
	_, _ = z.Write(make([]byte, bombMember)) // a buffer takes everything
	_ = z.Close()                            // as above
	return packed.Bytes()
}

// lengthFaults say impossible things of the length (23).
func lengthFaults() []Fault {
	const name = "Content-Length"
	lengths := func(lines func(right string) []field) func(*exchange, *reply) {
		return func(_ *exchange, r *reply) {
			r.header = append(r.header, lines(itoa(r.to-r.from))...)
			r.framing, r.end = untilClose, fin
		}
	}
	one := func(value string) func(*exchange, *reply) {
		return lengths(func(string) []field { return []field{{name, value}} })
	}
	all := []Fault{
		{Name: "23 Content-Length twice", apply: lengths(func(n string) []field { return []field{{name, n}, {name, n}} }), Overcome: true},
		{Name: "23 Content-Length twice, and different", apply: lengths(func(n string) []field { return []field{{name, n}, {name, n + "0"}} })},
		{Name: "23 Content-Length that is negative", apply: one("-1")},
		{Name: "23 Content-Length of letters", apply: one("0x10")},
		{Name: "23 Content-Length that overflows", apply: one("99999999999999999999")},
		{Name: "23 Content-Length with a sign", apply: lengths(func(n string) []field { return []field{{name, "+" + n}} })},
		{Name: "23 Content-Length with chunks", apply: func(_ *exchange, r *reply) {
			r.add(name, "5")
			r.framing, r.hangUp = chunked, true
		}, Overcome: true},
	}
	for i := range all {
		all[i].Case, all[i].Where, all[i].Passing = 23, OnBlob, true
	}
	return all
}

// The sizes of absurd headers.
const (
	headerLines = 10_000
	headerBytes = 100_000_000
	infoAnswers = 1_000_000
)

// headerFaults send absurd headers (24).
func headerFaults() []Fault {
	return []Fault{
		{Case: 24, Name: "24 100 MB of header", Where: OnBlob, Passing: true, apply: flood(strings.Repeat("X-Much: "+strings.Repeat("x", 1000)+"\r\n", 256), headerBytes/(1010*256), "HTTP/1.1 200 OK\r\n")},
		{Case: 24, Name: "24 one header line of 100 MB", Where: OnBlob, Passing: true, apply: flood(strings.Repeat("x", chunk), headerBytes/chunk, "HTTP/1.1 200 OK\r\nX-Much: ")},
		{Case: 24, Name: "24 a flood of 1xx", Where: OnBlob, Passing: true, apply: flood(strings.Repeat("HTTP/1.1 103 Early Hints\r\nLink: <x>\r\n\r\n", 1000), infoAnswers/1000, "")},
		{Case: 24, Name: "24 10 000 header lines", Where: OnBlob, Overcome: true, Passing: true, apply: func(_ *exchange, r *reply) {
			for i := range headerLines {
				r.add("X-Many-"+strconv.Itoa(i), "x")
			}
		}},
		{Case: 24, Name: "24 some 1xx", Where: OnBlob, Overcome: true, Passing: true, apply: func(_ *exchange, r *reply) {
			r.first = strings.Repeat("HTTP/1.1 103 Early Hints\r\nLink: <x>\r\n\r\n", 3)
		}},
		{Case: 24, Name: "24 NUL in a header", Where: OnBlob, Passing: true, apply: func(_ *exchange, r *reply) { r.add("X-Nul", "a\x00b") }},
		{Case: 24, Name: "24 ESC in a header", Where: OnBlob, Passing: true, apply: func(_ *exchange, r *reply) {
			r.add("X-Escape", "\x1b[31mred\x1b]0;title\x07")
		}},
		{Case: 24, Name: "24 a status line of garbage", Where: OnBlob, Passing: true, apply: func(_ *exchange, r *reply) {
			r.raw, r.end = "\x1b[2JHTTP/9.9 two hundred\r\n\r\n", fin
		}},
	}
}

// flood is an answer whose header never ends well: first, and then a text so many times.
func flood(text string, times int, first string) func(*exchange, *reply) {
	return func(_ *exchange, r *reply) { r.raw, r.flood, r.floods, r.end = first+silence, text, times, fin }
}

// nameFaults say names that are paths (34).
func nameFaults() []Fault {
	named := func(value string) func(*exchange, *reply) {
		return func(_ *exchange, r *reply) { r.set("Content-Disposition", value) }
	}
	all := []Fault{
		{Name: "34 Content-Disposition that leads up", apply: named(`attachment; filename="../../x"`)},
		{Name: "34 Content-Disposition with an absolute path", apply: named(`attachment; filename=/etc/x; filename*=UTF-8''%2Fetc%2Fx`)},
		{Name: "34 Content-Disposition with a drive", apply: named(`attachment; filename="C:\\x"`)},
		{Name: "34 Content-Disposition with ESC", apply: named("attachment; filename*=UTF-8''%1B%5B31mx%00%0A")},
		{Name: "34 redirect to a path that leads up", apply: func(x *exchange, r *reply) {
			if x.r.URL.Query().Get("name") == "" {
				r.become(text(http.StatusFound, "text/plain", "", field{"Location", x.blobURL("name=..%2f..%2fC:%5cx%1b")}))
			}
		}},
	}
	for i := range all {
		all[i].Case, all[i].Where, all[i].Overcome, all[i].Passing = 34, OnBlob, true, true
	}
	return all
}
