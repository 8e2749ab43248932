package transfer

import (
	"context"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"
)

// Link is an [Origin] that speaks HTTP. Where its server redirects to another host (a signed link to a storage
// service), the next ranges go there at once, and back to the server when that host refuses: a link that has expired
// costs one request. It may be used by several goroutines; its fields are not to be changed meanwhile.
type Link struct {
	// Server is the host that is asked first, as host or host:port.
	Server string
	// Seen is how long that host took to answer something small; 0: that is not known.
	Seen time.Duration
	// Request makes a request for the whole blob.
	Request func(ctx context.Context) (*http.Request, error)
	// Send sends it, with the credentials that it takes.
	Send func(req *http.Request) (*http.Response, error)
	// Direct sends a request to where another one was redirected, without credentials.
	Direct func(req *http.Request) (*http.Response, error)
	// Fail makes an error of an answer that is no success, and closes it.
	Fail func(resp *http.Response) error

	mu     sync.Mutex
	direct *url.URL // where the last request was redirected to
}

// Host is the server's.
func (l *Link) Host() string { return l.Server }

// Latency is the server's, as far as it was seen.
func (l *Link) Latency() time.Duration { return l.Seen }

// Fetch is [Origin].
func (l *Link) Fetch(ctx context.Context, off, n int64) (*Answer, error) {
	if answer := l.again(ctx, off, n); answer != nil {
		return answer, nil
	}
	req, err := l.Request(ctx)
	if err != nil {
		return nil, err
	}
	setRange(req, off, n)
	resp, err := l.Send(req) //nolint:bodyclose // NewAnswer and Fail see to it
	if err != nil {
		return nil, err
	}
	if !answersRange(resp) {
		return nil, l.Fail(resp)
	}
	answer, err := NewAnswer(resp, off, n)
	if err == nil && !strings.EqualFold(resp.Request.URL.Host, req.URL.Host) {
		l.remember(resp.Request.URL)
	}
	return answer, err
}

// again asks where the last redirect led. Whatever is wrong with that, the server is asked anew: nil.
func (l *Link) again(ctx context.Context, off, n int64) *Answer {
	l.mu.Lock()
	to := l.direct
	l.mu.Unlock()
	if to == nil {
		return nil
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, to.String(), http.NoBody)
	if err != nil {
		return nil
	}
	setRange(req, off, n)
	resp, err := l.Direct(req) //nolint:bodyclose // NewAnswer closes it
	if err == nil {
		if answer, err := NewAnswer(resp, off, n); err == nil {
			return answer
		}
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.direct == to {
		l.direct = nil
	}
	return nil
}

func (l *Link) remember(to *url.URL) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.direct = to
}

// setRange asks for n bytes at off, of the bytes themselves.
func setRange(req *http.Request, off, n int64) {
	req.Header.Set("Accept-Encoding", "identity")
	if off > 0 || n >= 0 {
		req.Header.Set("Range", Range(off, n))
	}
}

// answersRange tells whether NewAnswer has a word to say on an answer.
func answersRange(resp *http.Response) bool {
	switch resp.StatusCode {
	case http.StatusOK, http.StatusPartialContent, http.StatusRequestedRangeNotSatisfiable:
		return true
	}
	return false
}
