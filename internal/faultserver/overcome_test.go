package faultserver_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/mstore/mstore/internal/faultserver"
)

// puller is a client as it could be: patient, and sure of nothing but the digest.
type puller struct {
	http    *http.Client
	url     string
	had     []byte
	noRange bool
	token   string
	stall   time.Duration // without a byte
	last    error
}

func newPuller(t *testing.T, s *faultserver.Server, f faultserver.Fault) *puller {
	t.Helper()
	p := &puller{http: client(t, s), url: s.URL(path), stall: 10 * time.Second}
	p.http.Transport.(*http.Transport).MaxResponseHeaderBytes = 512 << 10
	if f.Slow {
		p.stall = 50 * time.Millisecond
	}
	return p
}

// pull gets the blob in so many tries.
func (p *puller) pull(t *testing.T, tries int) error {
	t.Helper()
	again := 2 // times, when the bytes are wrong
	for range tries {
		p.last = p.try(t)
		if len(p.had) < blobSize {
			continue
		}
		if string(p.had) == blob(0, blobSize) {
			return nil
		}
		if again == 0 {
			break
		}
		again, p.had = again-1, nil
	}
	return fmt.Errorf("given up at %d bytes: %w", len(p.had), p.last)
}

func (p *puller) try(t *testing.T) error {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	timer := time.AfterFunc(p.stall, cancel)
	defer timer.Stop()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, p.url, http.NoBody)
	if err != nil {
		return err
	}
	if !p.noRange {
		req.Header.Set("Range", fmt.Sprintf("bytes=%d-%d", len(p.had), blobSize-1))
	}
	if p.token != "" {
		req.Header.Set("Authorization", "Bearer "+p.token)
	}
	resp, err := p.http.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	skip, err := p.begin(t, resp)
	if err != nil {
		return err
	}
	body := io.Reader(resp.Body)
	if resp.Header.Get("Content-Encoding") == "gzip" && resp.ContentLength != blobSize {
		body = strings.NewReader(gunzip(read(body)))
	}
	if _, err := io.CopyN(io.Discard, body, skip); err != nil {
		return err
	}
	buf := make([]byte, 32<<10)
	for len(p.had) < blobSize {
		n, err := body.Read(buf[:min(len(buf), blobSize-len(p.had))])
		p.had = append(p.had, buf[:n]...)
		timer.Reset(p.stall)
		if err != nil {
			return err
		}
	}
	return nil
}

func read(r io.Reader) string {
	all, _ := io.ReadAll(io.LimitReader(r, 2*blobSize))
	return string(all)
}

// begin is how many bytes of an answer are there already.
func (p *puller) begin(t *testing.T, resp *http.Response) (skip int64, err error) {
	t.Helper()
	had := int64(len(p.had))
	switch resp.StatusCode {
	case http.StatusOK:
		if resp.Header.Get("Content-Range") == "" {
			return had, nil
		}
	case http.StatusPartialContent:
		first, total, ok := contentRange(resp.Header.Get("Content-Range"))
		if ok && first <= had && (total == "*" || total == strconv.Itoa(blobSize)) && resp.Header.Get("Content-Encoding") == "" {
			return had - first, nil
		}
	case http.StatusUnauthorized:
		p.token = token(t, p.http, resp)
		return 0, errors.New(resp.Status)
	case http.StatusRequestedRangeNotSatisfiable:
	default:
		return 0, errors.New(resp.Status)
	}
	p.noRange = true
	return 0, errors.New("no range")
}

func contentRange(s string) (first int64, total string, ok bool) {
	span, ok := strings.CutPrefix(s, "bytes ")
	span, total, _ = strings.Cut(span, "/")
	from, _, _ := strings.Cut(span, "-")
	first, err := strconv.ParseInt(from, 10, 64)
	return first, total, ok && err == nil
}

// TestOvercome holds the table to what it says: a client gets the right bytes where it says that one can.
func TestOvercome(t *testing.T) {
	for _, f := range faultserver.On(faultserver.OnBlob, faultserver.OnRedirect, faultserver.OnHTTP2, faultserver.OnTLS) {
		t.Run(f.Name, func(t *testing.T) {
			t.Parallel()
			for _, offset := range []int64{0, 1, blobSize / 2, blobSize - 1} {
				for _, times := range []int{0, 1, 2} {
					in := faultserver.Injection{Fault: f, Offset: offset, Times: times}
					if times > 1 && offset != 1 || !in.Overcome() {
						continue
					}
					s := serve(t, faultserver.Options{Faults: []faultserver.Injection{in}})
					p := newPuller(t, s, f)
					if err := p.pull(t, 12); err != nil {
						t.Errorf("at %d, %d times: %v after %d requests", offset, times, err, s.Count().Requests)
					}
				}
			}
		})
	}
}

// lucky are faults that a client may not notice: it asks for all at once, or reads what comes before a reset in time.
var lucky = []string{"29 one bit wrong in what is resumed", "26 RST after the last byte", "19 redirect from https to http"}

// TestNotOvercome: nobody gets the right bytes of a fault that never passes and is not said to be overcome.
func TestNotOvercome(t *testing.T) {
	for _, f := range faultserver.On(faultserver.OnBlob, faultserver.OnRedirect, faultserver.OnHTTP2, faultserver.OnTLS) {
		if f.Overcome || slices.Contains(lucky, f.Name) {
			continue
		}
		t.Run(f.Name, func(t *testing.T) {
			t.Parallel()
			s := serve(t, faultserver.Options{Faults: []faultserver.Injection{{Fault: f, Offset: 1}}})
			p := newPuller(t, s, f)
			if err := p.pull(t, 4); err == nil {
				t.Error("it was overcome")
			}
		})
	}
}
