package web

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"sync"

	"github.com/mstore/mstore/fetch/source"
	"github.com/mstore/mstore/fetch/transfer"
)

// send sends a request for a part of the file, or all of it.
func (f *file) send(req *http.Request) (*http.Response, error) {
	return f.same(req)
}

// direct sends a request to where another one was redirected.
func (f *file) direct(req *http.Request) (*http.Response, error) {
	req.Header.Del("Authorization")
	return f.same(req)
}

// same sends a request and, where no digest will tell, holds the answer against the state of the file that was resolved.
func (f *file) same(req *http.Request) (*http.Response, error) {
	if f.digest != "" {
		return f.once(req)
	}
	if f.validator != "" && req.Header.Get("Range") != "" {
		req.Header.Set("If-Range", f.validator)
	}
	resp, err := f.once(req)
	if err != nil {
		return nil, err
	}
	if err := f.compare(resp); err != nil {
		_ = resp.Body.Close()
		return nil, err
	}
	return resp, nil
}

// compare fails with transfer.ErrChanged for an answer that is not of the state that was resolved, or does not say.
func (f *file) compare(resp *http.Response) error {
	if resp.StatusCode != http.StatusOK && resp.StatusCode != http.StatusPartialContent || f.validator == "" {
		return nil
	}
	got := resp.Header.Get("Last-Modified")
	if strings.HasPrefix(f.validator, `"`) {
		got = resp.Header.Get("ETag")
	}
	size := sizeOf(resp)
	switch {
	case got == "" && resp.StatusCode == http.StatusPartialContent: // the whole may say
		return fmt.Errorf("%w: %s does not say of which state of the file the part is", transfer.ErrRange, f.url.Host)
	case got != f.validator:
		return fmt.Errorf("%s: %w: it was %s, now it is %s", f, transfer.ErrChanged, transfer.Clean(f.validator), orNone(transfer.Clean(got)))
	case f.size >= 0 && size >= 0 && size != f.size:
		return fmt.Errorf("%s: %w: it had %d bytes, now it has %d", f, transfer.ErrChanged, f.size, size)
	}
	return nil
}

func orNone(s string) string {
	if s == "" {
		return "not said"
	}
	return s
}

// fail makes an error of an answer that is no success, and closes it.
func (f *file) fail(resp *http.Response) error {
	status := transfer.NewStatusError(resp, nil)
	switch {
	case status.Redirected:
	case status.Status == http.StatusNotFound, status.Status == http.StatusGone:
		return fmt.Errorf("%w: %w", source.ErrNotFound, status)
	case status.Status == http.StatusUnauthorized, status.Status == http.StatusForbidden:
		story := "no credentials were sent; they can stand in the URL, as https://USER:PASSWORD@HOST/..., and are not kept"
		if f.user != nil {
			story = "the credentials of the URL were sent"
		}
		return fmt.Errorf("%w by %s (%s): %w", source.ErrAuth, f.url.Host, story, status)
	}
	return status
}

// single is an origin that gives one answer, which is the whole: of what it would give next nothing tells whether it is
// the same file still.
type single struct {
	*transfer.Link

	mu    sync.Mutex
	given bool
}

// Fetch is transfer.Origin.
func (s *single) Fetch(ctx context.Context, off, _ int64) (*transfer.Answer, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.given || off > 0 {
		return nil, fmt.Errorf("%w, or may have: %s gives no entity tag and no date to tell", transfer.ErrChanged, s.Host())
	}
	answer, err := s.Link.Fetch(ctx, 0, -1)
	s.given = err == nil
	return answer, err
}
