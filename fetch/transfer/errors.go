package transfer

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"strconv"
	"strings"
	"syscall"
	"time"
)

var (
	// ErrInterrupted reports a stream that broke off before its end. It is worth a retry.
	ErrInterrupted = errors.New("the transfer broke off")
	// ErrRange reports an answer that does not fit the range that was asked for. It is worth a retry, without a range.
	ErrRange = errors.New("the answer does not fit the range asked for")
	// ErrChanged reports content that is no longer what the transfer began with. What there is of it is worth nothing: no
	// retry inside a transfer can help, a new one may.
	ErrChanged = errors.New("the content changed while it was fetched")
)

// StallError reports a try that was given up because too little came.
type StallError struct {
	For   time.Duration // how long it was waited
	Bytes int64         // what came in that time
}

func (e *StallError) Error() string {
	if e.Bytes == 0 {
		return fmt.Sprintf("no byte came for %v", e.For.Round(time.Millisecond))
	}
	return fmt.Sprintf("only %d bytes came in %v", e.Bytes, e.For.Round(time.Millisecond))
}

// Timeout makes a StallError a net.Error's kind of timeout.
func (e *StallError) Timeout() bool { return true }

// StatusError is an HTTP answer that is no success. Its texts are safe to print: they hold no control characters, no
// credentials and no query, and are short.
type StatusError struct {
	Method     string
	URL        string // scheme, host and path of the request that was answered
	Status     int
	Detail     string        // what the server said about it, may be empty
	RetryAfter time.Duration // what the server asks to wait, 0 when it does not
	Redirected bool          // another host than the one asked has answered: a 403 may be a signed link that ran out
}

func (e *StatusError) Error() string {
	text := fmt.Sprintf("%s %s: %d %s", e.Method, e.URL, e.Status, http.StatusText(e.Status))
	if e.Detail != "" {
		text += ": " + e.Detail
	}
	return text
}

// retryable tells whether the same request may be answered better later.
func (e *StatusError) retryable() bool {
	switch e.Status {
	case http.StatusRequestTimeout, http.StatusTooEarly, http.StatusTooManyRequests:
		return true
	case http.StatusUnauthorized, http.StatusForbidden:
		return e.Redirected
	}
	return e.Status >= 500
}

// Retryable is the one place that says which errors are worth a retry: timeouts, connections that were refused, reset
// or broke off, answers that are no HTTP or do not fit a range (416 is one), and the statuses 408, 425, 429 and 5xx. A
// cancelled context, other statuses, what is wrong with a certificate or a file, and all that is unknown are not.
func Retryable(err error) bool {
	var (
		status *StatusError
		cert   *tls.CertificateVerificationError
		dns    *net.DNSError
		file   *fs.PathError
	)
	switch {
	case err == nil, errors.Is(err, context.Canceled), errors.As(err, &cert), errors.As(err, &file):
		return false
	case errors.Is(err, ErrRange):
		return true
	case errors.As(err, &status):
		return status.retryable()
	case errors.Is(err, ErrInterrupted), errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, io.EOF):
		return true
	case errors.As(err, &dns):
		return dns.IsTimeout || dns.IsTemporary
	}
	return isTimeout(err) || isBroken(err)
}

// isRefusal tells of an answer that says that there are too many requests.
func isRefusal(err error) bool {
	status, ok := errors.AsType[*StatusError](err)
	return ok && (status.Status == http.StatusTooManyRequests || status.Status == http.StatusServiceUnavailable)
}

// causeOf is the kind of a failure, as Stats counts them.
func causeOf(err error) string {
	if status, ok := errors.AsType[*StatusError](err); ok {
		return strconv.Itoa(status.Status)
	}
	switch {
	case isTimeout(err):
		return "stall"
	case errors.Is(err, ErrRange):
		return "range"
	case errors.Is(err, ErrInterrupted), isBroken(err):
		return "broken"
	}
	return "other"
}

func isTimeout(err error) bool {
	var timeout interface{ Timeout() bool }
	return errors.As(err, &timeout) && timeout.Timeout()
}

// isBroken knows a connection that is gone, or cannot be had now, and an answer that cannot be read.
func isBroken(err error) bool {
	for _, errno := range []syscall.Errno{
		syscall.ECONNRESET, syscall.ECONNABORTED, syscall.ECONNREFUSED, syscall.EPIPE,
		syscall.ENETUNREACH, syscall.EHOSTUNREACH,
	} {
		if errors.Is(err, errno) {
			return true
		}
	}
	text := err.Error()
	for _, part := range []string{ // of errors that net/http does not export
		"server closed idle connection",                   // before it saw the request
		"net/http: HTTP/1.x transport connection broken:", // by an answer that is malformed, or has no end of header
		"http2: ", "connection error: ", "stream error: ", // of HTTP/2
	} {
		if strings.Contains(text, part) {
			return true
		}
	}
	return false
}
