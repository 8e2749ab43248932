package faultserver

import (
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// framing is how the end of a body is told.
type framing int

const (
	withLength framing = iota // Content-Length
	chunked
	untilClose
)

// ending is what follows the body.
type ending int

const (
	keepAlive ending = iota
	fin              // the connection is closed
	rst              // it is reset
	stall            // nothing comes any more
	drip             // the rest comes one byte at a time
	endless          // other bytes come for ever
)

// field is a line of a header, as it is sent: faults need lines that http.Header cannot hold.
type field struct{ name, value string }

// reply is an answer before it is sent, for faults to change. Its body is the bytes [from, to) of data.
type reply struct {
	status int
	header []field
	first  string // sent before the status
	raw    string // sent in place of status and header; then there is no body
	flood  string // sent after raw, floods times
	floods int

	data     io.ReaderAt
	from, to int64
	bodyless bool // of HEAD, 204, 304: the length is told, the bytes are not sent

	framing framing
	length  string // of Content-Length, when it is not the body's
	prefix  string // between header and body
	suffix  string // after the body
	trailer string // of a chunked body that breaks off
	filter  func(io.Writer) io.WriteCloser
	stop    int64 // offset at which the body breaks off; to when it does not
	flip    int64 // offset of the byte that is sent wrong; -1: none
	end     ending
	every   time.Duration   // of drip
	before  func(*h2stream) // of HTTP/2: comes first
	hangUp  bool            // the connection is closed after a good answer, without a word
}

func newReply(status int, header ...field) *reply {
	return &reply{status: status, header: header, flip: -1}
}

// text is an answer with a short body.
func text(status int, kind, body string, header ...field) *reply {
	r := newReply(status, append(header, field{"Content-Type", kind})...)
	r.fill(strings.NewReader(body), 0, int64(len(body)))
	return r
}

// fill makes the body.
func (r *reply) fill(data io.ReaderAt, from, to int64) {
	r.data, r.from, r.to, r.stop = data, from, to, to
}

// become turns the reply into another one.
func (r *reply) become(other *reply) {
	bodyless := r.bodyless
	*r = *other
	r.bodyless = r.bodyless || bodyless
}

func (r *reply) set(name, value string) {
	r.del(name)
	r.add(name, value)
}

func (r *reply) add(name, value string) { r.header = append(r.header, field{name, value}) }

func (r *reply) del(name string) {
	var kept []field
	for _, f := range r.header {
		if !strings.EqualFold(f.name, name) {
			kept = append(kept, f)
		}
	}
	r.header = kept
}

func (r *reply) get(name string) string {
	for _, f := range r.header {
		if strings.EqualFold(f.name, name) {
			return f.value
		}
	}
	return ""
}

// breakOff ends the body before at.
func (r *reply) breakOff(at int64, how ending) { r.stop, r.end = at, how }

// serveBlob is the right answer to a request for a blob, by RFC 9110.
func serveBlob(r *http.Request, b *Blob) *reply {
	out := newReply(http.StatusOK, field{"Accept-Ranges", "bytes"})
	for name, values := range b.Header {
		for _, v := range values {
			out.add(name, v)
		}
	}
	if out.get("Content-Type") == "" {
		out.add("Content-Type", "application/octet-stream")
	}
	etag := out.get("ETag")
	if etag != "" && r.Header.Get("If-None-Match") == etag {
		out.status, out.bodyless = http.StatusNotModified, true
		out.framing = untilClose
		out.del("Content-Type")
		return out
	}
	out.fill(b.Data, 0, b.Size)
	span, ok, satisfiable := asked(r, b)
	switch {
	case !ok:
	case !satisfiable:
		out.become(text(http.StatusRequestedRangeNotSatisfiable, "text/plain", "no such range"))
		out.set("Content-Range", fmt.Sprintf("bytes */%d", b.Size))
	default:
		out.status = http.StatusPartialContent
		out.set("Content-Range", contentRange(span.From, span.To, b.Size))
		out.fill(b.Data, span.From, span.To)
	}
	out.bodyless = r.Method == http.MethodHead
	return out
}

func contentRange(from, to, size int64) string {
	return fmt.Sprintf("bytes %d-%d/%d", from, to-1, size)
}

// asked is the one range that a request asks for. ok is false without one, or when it is not to be heeded.
func asked(r *http.Request, b *Blob) (span Span, ok, satisfiable bool) {
	spec, found := strings.CutPrefix(r.Header.Get("Range"), "bytes=")
	first, last, dash := strings.Cut(spec, "-")
	if !found || !dash || strings.Contains(spec, ",") {
		return Span{}, false, false
	}
	if cond := r.Header.Get("If-Range"); cond != "" && cond != b.Header.Get("ETag") && cond != b.Header.Get("Last-Modified") {
		return Span{}, false, false
	}
	from, err1 := strconv.ParseInt(first, 10, 64)
	to, err2 := strconv.ParseInt(last, 10, 64)
	switch {
	case first == "" && err2 == nil: // the last bytes
		return Span{max(0, b.Size-to), b.Size}, true, to > 0 && b.Size > 0
	case err1 != nil || last != "" && (err2 != nil || to < from):
		return Span{}, false, false
	case last == "":
		to = b.Size - 1
	}
	return Span{from, min(to+1, b.Size)}, true, from < b.Size
}
