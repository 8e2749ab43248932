package transfer

import (
	"bufio"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
	"unicode"
)

const (
	maxErrorBody = 64 << 10 // bytes read of the body of an error
	maxDetail    = 400      // bytes of it that go into the error's text
)

// Range is the value of a Range header that asks for n bytes at off. It is closed, because some registries refuse an
// open one; only n < 0 asks for all that follows.
func Range(off, n int64) string {
	if n < 0 {
		return fmt.Sprintf("bytes=%d-", off)
	}
	return fmt.Sprintf("bytes=%d-%d", off, off+n-1)
}

// NewAnswer checks the answer to a request for n bytes at off (n < 0: all that follows). The request has to ask for
// Accept-Encoding: identity. A 200 begins at 0; a 206 must say where it begins, and not begin later than off. A whole
// body that was compressed nevertheless is decoded. On an error the body is closed, and the error is [ErrRange],
// [ErrInterrupted] or a *[StatusError].
func NewAnswer(resp *http.Response, off, n int64) (_ *Answer, err error) {
	defer func() {
		if err != nil {
			_ = resp.Body.Close()
		}
	}()
	switch resp.StatusCode {
	case http.StatusOK:
		if resp.Header.Get("Content-Range") != "" && resp.Request.Header.Get("Range") != "" {
			return nil, fmt.Errorf("%w: 200 with a Content-Range", ErrRange)
		}
		if n > 0 && resp.ContentLength >= 0 && resp.ContentLength <= off && resp.Header.Get("Content-Encoding") == "" {
			return nil, fmt.Errorf("%w: the whole is %d bytes, and those after %d are missing", ErrInterrupted, resp.ContentLength, off)
		}
		body, err := identity(resp, off, n)
		return &Answer{Body: body, Whole: true}, err
	case http.StatusPartialContent:
		at, err := partial(resp, off, n)
		return &Answer{Body: resp.Body, At: at}, err
	case http.StatusRequestedRangeNotSatisfiable:
		return nil, fmt.Errorf("%w: %w", ErrRange, NewStatusError(resp, nil))
	}
	return nil, NewStatusError(resp, nil)
}

// identity is the body of a 200 without its Content-Encoding. A server that says gzip of a file that is stored as gzip
// (a common misconfiguration) is recognised by the length, and one that says it of any file by how that begins.
func identity(resp *http.Response, off, n int64) (io.ReadCloser, error) {
	switch encoding := strings.ToLower(resp.Header.Get("Content-Encoding")); {
	case encoding == "" || encoding == "identity" || n >= 0 && resp.ContentLength == off+n:
		return resp.Body, nil
	case encoding == "gzip" || encoding == "x-gzip":
		body := bufio.NewReader(resp.Body)
		if magic, err := body.Peek(2); err == nil && (magic[0] != 0x1f || magic[1] != 0x8b) {
			return &decoded{body, resp.Body}, nil // it is not, whatever was said
		}
		z, err := gzip.NewReader(body)
		if err != nil {
			return nil, fmt.Errorf("%w: %w", ErrInterrupted, err)
		}
		return &decoded{z, resp.Body}, nil
	}
	return nil, errors.New("the server compresses what must not be: Content-Encoding " + Clean(resp.Header.Get("Content-Encoding")))
}

// decoded is a body that is read through something.
type decoded struct {
	io.Reader
	io.Closer
}

// partial is where the body of a 206 begins.
func partial(resp *http.Response, off, n int64) (int64, error) {
	if kind, _, _ := mime.ParseMediaType(resp.Header.Get("Content-Type")); kind == "multipart/byteranges" {
		return 0, fmt.Errorf("%w: multipart/byteranges", ErrRange)
	}
	if e := resp.Header.Get("Content-Encoding"); e != "" && !strings.EqualFold(e, "identity") {
		return 0, fmt.Errorf("%w: a range with Content-Encoding %q", ErrRange, e)
	}
	header := resp.Header.Get("Content-Range")
	first, last, total, ok := parseContentRange(header)
	if !ok || first > off || last < off || total >= 0 && (last >= total || n >= 0 && off+n > total) {
		return 0, fmt.Errorf("%w: Content-Range %q for %s", ErrRange, Clean(header), Range(off, n))
	}
	return first, nil
}

// parseContentRange reads "bytes first-last/total"; total is -1 for "*".
func parseContentRange(s string) (first, last, total int64, ok bool) {
	s, ok = strings.CutPrefix(strings.TrimSpace(s), "bytes ")
	span, size, ok2 := strings.Cut(s, "/")
	from, to, ok3 := strings.Cut(span, "-")
	if !ok || !ok2 || !ok3 {
		return 0, 0, 0, false
	}
	if total = -1; size != "*" {
		if total, ok = number(size); !ok {
			return 0, 0, 0, false
		}
	}
	first, ok = number(from)
	last, ok2 = number(to)
	return first, last, total, ok && ok2 && first <= last
}

func number(s string) (int64, bool) {
	n, err := strconv.ParseUint(s, 10, 63)
	return int64(n), err == nil
}

// NewStatusError makes an error of an answer, reads at most 64 KiB of its body and closes it. explain finds what a
// person should read in the body; nil takes plain text and JSON as they are, and nothing of HTML.
func NewStatusError(resp *http.Response, explain func(body []byte) string) *StatusError {
	raw, _ := io.ReadAll(io.LimitReader(resp.Body, maxErrorBody)) // what came before an error is still worth reading
	_ = resp.Body.Close()
	if explain == nil {
		explain = func(body []byte) string { return plain(resp, body) }
	}
	e := &StatusError{
		Status:     resp.StatusCode,
		Detail:     Clean(explain(raw)),
		RetryAfter: retryAfter(resp.Header.Get("Retry-After"), time.Now()),
	}
	if req := resp.Request; req != nil {
		e.Method, e.URL = req.Method, RedactURL(req.URL)
		first := req
		for first.Response != nil && first.Response.Request != nil {
			first = first.Response.Request
		}
		e.Redirected = !strings.EqualFold(first.URL.Host, req.URL.Host)
	}
	return e
}

func plain(resp *http.Response, body []byte) string {
	switch kind, _, _ := mime.ParseMediaType(resp.Header.Get("Content-Type")); {
	case kind == "application/json", kind == "text/plain", strings.HasSuffix(kind, "+json"):
		return string(body)
	}
	return ""
}

// retryAfter reads seconds or a date; 0 when there is neither.
func retryAfter(s string, now time.Time) time.Duration {
	if seconds, ok := number(strings.TrimSpace(s)); ok {
		return time.Duration(min(seconds, int64(24*time.Hour/time.Second))) * time.Second
	}
	if at, err := http.ParseTime(s); err == nil {
		return max(0, at.Sub(now))
	}
	return 0
}

// RedactURL is u without what may be secret: the user and the query, where links are signed.
func RedactURL(u *url.URL) string {
	short := url.URL{Scheme: u.Scheme, Host: u.Host, Path: u.Path}
	return Clean(short.String())
}

// RedactError is err without what net/http puts into the texts of its errors: secrets in the query of the URL, and as
// much of a malformed answer as there was. The cause stays for errors.Is and errors.As.
func RedactError(err error) error {
	var failed *url.Error
	if !errors.As(err, &failed) {
		return err
	}
	where := "an unreadable URL"
	if u, err := url.Parse(failed.URL); err == nil {
		where = RedactURL(u)
	}
	return &url.Error{Op: failed.Op, URL: where, Err: &cleaned{failed.Err}}
}

// cleaned is an error whose text is fit to print.
type cleaned struct{ error }

func (e *cleaned) Error() string { return Clean(e.error.Error()) }
func (e *cleaned) Unwrap() error { return e.error }
func (e *cleaned) Timeout() bool { return isTimeout(e.error) } // url.Error asks for it

// Clean makes a text from outside fit for a line of an error: one line, no control or direction-changing characters,
// at most 400 bytes.
func Clean(s string) string {
	s = strings.Join(strings.Fields(strings.Map(func(r rune) rune {
		switch {
		case unicode.IsSpace(r):
			return ' '
		case unicode.IsControl(r), unicode.Is(unicode.Cf, r), r == unicode.ReplacementChar:
			return -1
		}
		return r
	}, s)), " ")
	if len(s) > maxDetail {
		s = strings.ToValidUTF8(s[:maxDetail], "") + "..."
	}
	return s
}
