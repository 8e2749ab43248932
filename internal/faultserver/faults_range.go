package faultserver

import (
	"fmt"
	"io"
	"net/http"
	"strconv"
	"time"
)

// rangeFaults get ranges wrong (1 to 5). Who asks for the whole blob with no word of a range does not meet them.
func rangeFaults() []Fault {
	said := func(span func(from, to, size int64) string) func(*exchange, *reply) {
		return func(x *exchange, r *reply) { r.set("Content-Range", span(r.from, r.to, x.blob.Size)) }
	}
	all := []Fault{
		{Case: 1, Name: "1 range answered with the whole", apply: whole},
		{Case: 2, Name: "2 206 that says it begins a byte late", apply: said(func(from, to, size int64) string {
			return contentRange(from+1, to+1, size+1)
		})},
		{Case: 2, Name: "2 206 that begins a byte late", apply: func(x *exchange, r *reply) {
			r.fill(r.data, min(r.from+1, r.to), r.to)
			r.set("Content-Range", contentRange(min(r.from, r.to-1), r.to, x.blob.Size))
		}},
		{Case: 2, Name: "2 206 with another total", apply: said(func(from, to, size int64) string { return contentRange(from, to, size-1) })},
		{Case: 2, Name: "2 206 with a larger total", apply: said(func(from, to, size int64) string { return contentRange(from, to, size+1) })},
		{Case: 2, Name: "2 206 without a total", apply: said(func(from, to, _ int64) string { return fmt.Sprintf("bytes %d-%d/*", from, to-1) })},
		{Case: 2, Name: "2 206 with a Content-Range of garbage", apply: said(func(int64, int64, int64) string { return "bytes -1--2/-3" })},
		{Case: 2, Name: "2 206 without Content-Range", apply: func(_ *exchange, r *reply) { r.del("Content-Range") }},
		{Case: 2, Name: "2 206 of the bytes before", apply: earlier},
		{Case: 2, Name: "2 200 with Content-Range", apply: func(_ *exchange, r *reply) { r.status = http.StatusOK }},
		{Case: 3, Name: "3 206 multipart/byteranges", apply: multipart},
		{Case: 5, Name: "5 416 to every range", apply: unsatisfiable(0)},
		{Case: 5, Name: "5 416 with another size", apply: unsatisfiable(7)},
	}
	for i := range all {
		all[i].Where, all[i].ranged, all[i].Overcome, all[i].Passing = OnBlob, true, true, true
	}
	return all
}

func whole(x *exchange, r *reply) {
	if r.status == http.StatusPartialContent {
		r.status = http.StatusOK
		r.del("Content-Range")
		r.fill(r.data, 0, x.blob.Size)
	}
}

// earlier answers with a range that begins up to 100 bytes before what was asked for, and says so.
func earlier(x *exchange, r *reply) {
	r.fill(r.data, max(0, r.from-100), r.to)
	r.set("Content-Range", contentRange(r.from, r.to, x.blob.Size))
}

func multipart(_ *exchange, r *reply) {
	const edge = "faultserver"
	r.prefix = fmt.Sprintf("--%s\r\nContent-Type: application/octet-stream\r\nContent-Range: %s\r\n\r\n", edge, r.get("Content-Range"))
	r.suffix = "\r\n--" + edge + "--\r\n"
	r.length = strconv.FormatInt(int64(len(r.prefix))+r.to-r.from+int64(len(r.suffix)), 10)
	r.del("Content-Range")
	r.set("Content-Type", "multipart/byteranges; boundary="+edge)
}

func unsatisfiable(more int64) func(*exchange, *reply) {
	return func(x *exchange, r *reply) {
		r.become(text(http.StatusRequestedRangeNotSatisfiable, "text/plain", "no such range",
			field{"Content-Range", fmt.Sprintf("bytes */%d", x.blob.Size+more)}))
	}
}

// validatorFaults change what tells one version of a blob from another (4). If-Range is held against what is sent next.
func validatorFaults() []Fault {
	stale := func(name string, value func(times int) string) func(*exchange, *reply) {
		return func(x *exchange, r *reply) {
			if x.r.Header.Get("If-Range") != "" {
				whole(x, r)
			}
			r.set(name, value(x.times))
		}
	}
	return []Fault{
		{
			Case: 4, Name: "4 ETag changes with every answer", Where: OnBlob, Overcome: true, Passing: true,
			apply: stale("ETag", func(n int) string { return fmt.Sprintf(`"version-%d"`, n) }),
		},
		{
			Case: 4, Name: "4 Last-Modified changes with every answer", Where: OnBlob, Overcome: true, Passing: true,
			apply: stale("Last-Modified", func(n int) string {
				return time.Date(2026, 1, 1, 0, 0, n, 0, time.UTC).Format(http.TimeFormat)
			}),
		},
		{Case: 4, Name: "4 other bytes under another ETag", Where: OnBlob, Passing: true, apply: func(x *exchange, r *reply) {
			if x.r.Header.Get("If-Range") != "" {
				whole(x, r)
			}
			r.set("ETag", `"another version"`)
			r.data = inverted{r.data}
		}},
	}
}

// inverted is other content of the same length.
type inverted struct{ io.ReaderAt }

func (i inverted) ReadAt(p []byte, off int64) (int, error) {
	n, err := i.ReaderAt.ReadAt(p, off)
	for j := range p[:n] {
		p[j] = ^p[j]
	}
	return n, err
}
