package transfer_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"net/url"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"
	"unicode"

	"github.com/mstore/mstore/fetch/transfer"
)

func TestRetryable(t *testing.T) {
	code := func(n int) error { return &transfer.StatusError{Status: n} }
	for _, c := range []struct {
		err  error
		want bool
	}{
		{nil, false},
		{errors.New("who knows"), false},
		{context.Canceled, false},
		{&url.Error{Err: context.Canceled}, false},
		{context.DeadlineExceeded, true},
		{os.ErrDeadlineExceeded, true},
		{io.ErrUnexpectedEOF, true},
		{&url.Error{Err: io.EOF}, true},
		{&net.OpError{Op: "read", Err: os.NewSyscallError("read", syscall.ECONNRESET)}, true},
		{&net.OpError{Op: "dial", Err: os.NewSyscallError("connect", syscall.ECONNREFUSED)}, true},
		{&net.OpError{Op: "write", Err: syscall.EPIPE}, true},
		{&url.Error{Err: errors.New("http: server closed idle connection")}, true},
		{&url.Error{Err: errors.New("net/http: HTTP/1.x transport connection broken: malformed HTTP response")}, true},
		{&url.Error{Err: errors.New("http2: Transport received GOAWAY from server")}, true},
		{fmt.Errorf("net/http: HTTP/1.x transport connection broken: %w", &fs.PathError{Op: "read", Err: syscall.EIO}), false},
		{fmt.Errorf("%w: %w", transfer.ErrRange, code(416)), true},
		{&net.DNSError{IsNotFound: true}, false},
		{&net.DNSError{IsTimeout: true}, true},
		{&net.DNSError{IsTemporary: true}, true},
		{&transfer.StallError{For: time.Second}, true},
		{fmt.Errorf("x: %w", transfer.ErrInterrupted), true},
		{fmt.Errorf("x: %w", transfer.ErrRange), true},
		{&tls.CertificateVerificationError{Err: x509.UnknownAuthorityError{}}, false},
		{syscall.ENOSPC, false},
		{code(400), false},
		{code(401), false},
		{code(403), false},
		{code(404), false},
		{code(410), false},
		{code(416), false},
		{code(408), true},
		{code(425), true},
		{code(429), true},
		{code(500), true},
		{code(502), true},
		{code(503), true},
		{code(504), true},
		{&transfer.StatusError{Status: 403, Redirected: true}, true},
		{&transfer.StatusError{Status: 404, Redirected: true}, false},
	} {
		if got := transfer.Retryable(c.err); got != c.want {
			t.Errorf("Retryable(%v) = %v, want %v", c.err, got, c.want)
		}
	}
}

// answer is a response as a client would have it.
func answer(code int, body string, header ...string) *http.Response {
	req, _ := http.NewRequest(http.MethodGet, "https://user:pw@host/path?secret=1", http.NoBody)
	resp := &http.Response{StatusCode: code, Header: http.Header{}, Request: req, Body: io.NopCloser(strings.NewReader(body))}
	for i := 0; i < len(header); i += 2 {
		resp.Header.Set(header[i], header[i+1])
	}
	return resp
}

func TestStatusErrorIsFitToPrint(t *testing.T) {
	hostile := "a\x1b[31mb\x00c\u202ed\r\ne\u0085f\xff" + strings.Repeat("long ", 100_000)
	err := transfer.NewStatusError(answer(503, hostile, "Content-Type", "text/plain", "Retry-After", "7"), nil)
	if err.RetryAfter != 7*time.Second || err.Status != 503 || err.URL != "https://host/path" || err.Redirected {
		t.Errorf("got %+v", err)
	}
	text := err.Error()
	if len(text) > 600 || !strings.Contains(text, "503 Service Unavailable") {
		t.Errorf("text of %d bytes: %.100q", len(text), text)
	}
	for _, r := range text {
		if unicode.IsControl(r) || r == '\u202e' || r == unicode.ReplacementChar {
			t.Errorf("%q is in the text", r)
		}
	}
	if page := transfer.NewStatusError(answer(404, "<html>", "Content-Type", "text/html"), nil); page.Detail != "" {
		t.Errorf("a web page became the detail %q", page.Detail)
	}
}

func TestRetryAfterForms(t *testing.T) {
	for s, want := range map[string]time.Duration{
		"": 0, "0": 0, "120": 2 * time.Minute, "-5": 0, "soon": 0, "99999999999999999999": 0, "1e9": 0,
		"9223372036854775807": 24 * time.Hour, "Mon, 02 Jan 2006 15:04:05 GMT": 0,
	} {
		if got := transfer.NewStatusError(answer(429, "", "Retry-After", s), nil).RetryAfter; got != want {
			t.Errorf("Retry-After %q is %v, want %v", s, got, want)
		}
	}
	later := time.Now().Add(90 * time.Second).UTC().Format(http.TimeFormat)
	if got := transfer.NewStatusError(answer(429, "", "Retry-After", later), nil).RetryAfter; got < 80*time.Second || got > 90*time.Second {
		t.Errorf("Retry-After %q is %v", later, got)
	}
}

func TestRedirectedStatusIsTold(t *testing.T) {
	resp := answer(403, "")
	first, _ := http.NewRequest(http.MethodGet, "https://registry/blob", http.NoBody)
	resp.Request.Response = &http.Response{Request: first}
	if err := transfer.NewStatusError(resp, nil); !err.Redirected {
		t.Errorf("%+v is not redirected", err)
	}
}

func TestRedactError(t *testing.T) {
	inner := &net.OpError{Op: "dial", Err: syscall.ECONNREFUSED}
	err := transfer.RedactError(fmt.Errorf("x: %w", &url.Error{Op: "Get", URL: "https://u:p@host/path?signature=secret", Err: inner}))
	var op *net.OpError
	if !errors.As(err, &op) || strings.Contains(err.Error(), "secret") || !strings.HasPrefix(err.Error(), `Get "https://host/path": `) {
		t.Errorf("RedactError = %v", err)
	}
	long := transfer.RedactError(&url.Error{Op: "Get", URL: "http://host", Err: errors.New("\x1b[31m" + strings.Repeat("x", 1<<20))})
	if text := long.Error(); len(text) > 600 || strings.ContainsRune(text, 0x1b) {
		t.Errorf("%d bytes: %.100q", len(text), text)
	}
	var timeout net.Error
	slow := transfer.RedactError(&url.Error{Op: "Get", URL: "http://host", Err: os.ErrDeadlineExceeded})
	if !errors.As(slow, &timeout) || !timeout.Timeout() || !transfer.Retryable(slow) {
		t.Errorf("%v is no timeout any more", slow)
	}
	if plain := errors.New("plain"); !errors.Is(transfer.RedactError(plain), plain) {
		t.Error("an error without a URL was changed")
	}
}

// TestUnknownEncodingIsRefused: what cannot be undone is not written.
func TestUnknownEncodingIsRefused(t *testing.T) {
	if _, err := transfer.NewAnswer(answer(200, "xx", "Content-Encoding", "br"), 0, 9); err == nil || transfer.Retryable(err) {
		t.Errorf("Answer with brotli = %v", err)
	}
	if _, err := transfer.NewAnswer(answer(200, "\x1f\x8bno gzip", "Content-Encoding", "gzip"), 0, 9); !errors.Is(err, transfer.ErrInterrupted) {
		t.Errorf("Answer with gzip that is none = %v", err)
	}
}

func FuzzAnswer(f *testing.F) {
	f.Add("bytes 5-9/10", int64(5), int64(5))
	f.Add("bytes 0-9223372036854775807/*", int64(9), int64(9))
	f.Fuzz(func(t *testing.T, contentRange string, off, n int64) {
		if off < 0 || n < 0 || off+n < 0 {
			return
		}
		got, err := transfer.NewAnswer(answer(206, "", "Content-Range", contentRange), off, n)
		if err == nil && (got.At < 0 || got.At > off) {
			t.Errorf("NewAnswer(%q, %d, %d) begins at %d", contentRange, off, n, got.At)
		}
	})
}
