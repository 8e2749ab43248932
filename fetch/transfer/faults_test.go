package transfer_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode"

	"github.com/mstore/mstore/fetch/guard"
	"github.com/mstore/mstore/fetch/transfer"
	"github.com/mstore/mstore/internal/faultserver"
	"github.com/mstore/mstore/internal/memsink"
)

const (
	wildPath = "/blob"
	// wildChunk makes ten ranges of a blob of wildSize, the last of them short.
	wildChunk = 128 << 10
	wildSize  = 9*wildChunk + 77
)

var errTooLong = errors.New("the test has waited long enough")

// wild is a server that misbehaves, and the origin that leads to it.
type wild struct {
	*faultserver.Server
	*transfer.Link

	data []byte
}

// newWild serves size bytes as opts say. send carries the requests; nil is a client as sources have it.
func newWild(t testing.TB, size int64, opts faultserver.Options, send *http.Client) *wild {
	t.Helper()
	content := faultserver.Content(uint64(size), size)
	opts.Blobs = []faultserver.Blob{{Path: wildPath, Data: content, Size: size}}
	s, err := faultserver.Serve(opts)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	own := s.Client()
	if send == nil {
		send = guard.New(own, nil)
	}
	t.Cleanup(send.CloseIdleConnections)
	w := &wild{Server: s, data: content.Bytes()}
	w.Link = link(s.URL(wildPath), send)
	return w
}

// link is an origin as the sources make them, without their tokens.
func link(at string, send *http.Client) *transfer.Link {
	home, err := url.Parse(at)
	if err != nil {
		panic(err)
	}
	do := func(req *http.Request) (*http.Response, error) {
		resp, err := send.Do(req.WithContext(guard.WithHome(req.Context(), home)))
		if err != nil {
			return nil, transfer.RedactError(err)
		}
		return resp, nil
	}
	return &transfer.Link{
		Server: home.Host,
		Request: func(ctx context.Context) (*http.Request, error) {
			return http.NewRequestWithContext(ctx, http.MethodGet, at, http.NoBody)
		},
		Send: do, Direct: do,
		Fail: func(resp *http.Response) error { return transfer.NewStatusError(resp, nil) },
	}
}

// trial is one transfer from a server with one fault.
type trial struct {
	in          faultserver.Injection
	size        int64
	connections int
	near        bool // the whole is asked for at once, without a range
	http2       bool
	had         int64
}

func (c trial) String() string {
	return fmt.Sprintf("at %d, %d times, %d connections, near %v, had %d of %d", c.in.Offset, c.in.Times, c.connections, c.near, c.had, c.size)
}

// run makes the transfer and looks at all that it must be, whatever the fault.
func (c trial) run(t *testing.T) {
	t.Helper()
	c.in.Every = 15 * time.Millisecond
	var send *http.Client
	opts := faultserver.Options{Faults: []faultserver.Injection{c.in}}
	w := newWild(t, c.size, opts, send)
	if c.http2 {
		w.Link = link(w.URL(wildPath), w.Client())
	}
	defer func() { _ = w.Close() }()
	limits := transfer.Limits{Connections: c.connections, ChunkSize: wildChunk}
	if c.near {
		w.Seen, limits.ChunkSize = 100*time.Microsecond, 0
	}
	patience := nowait()
	patience.Stall = 5 * time.Second
	if c.in.Fault.Slow {
		patience.Stall = 1500 * time.Millisecond
		if !c.in.Overcome() { // and each try costs that
			patience.Retries = 1
		}
	}
	ctx, cancel := context.WithTimeoutCause(t.Context(), 20*time.Second, errTooLong)
	defer cancel()
	sink := memsink.New(int(c.size), w.data[:c.had])
	stats, err := transfer.New(limits).Run(ctx, sink, []transfer.Origin{w.Link}, patience)
	c.judge(t, w, sink, stats, err)
}

// blind are faults whose bytes only a digest tells from the right ones.
func blind(f faultserver.Fault) bool {
	return f.Case == 28 || f.Case == 29 || f.Case == 22 || strings.HasPrefix(f.Name, "4 other bytes") || f.Name == "2 206 that begins a byte late"
}

// generous are faults that send more than was asked for.
func generous(f faultserver.Fault) bool {
	return slices.Contains([]int{1, 11, 21, 22}, f.Case) || f.Name == "26 RST after the last byte" // which takes back what was sent
}

func (c trial) judge(t *testing.T, w *wild, sink *memsink.Sink, stats transfer.Stats, err error) {
	t.Helper()
	data, whole := sink.Bytes()
	right := whole && bytes.Equal(data, w.data)
	count := w.Count()
	served := count.Paths[wildPath]
	switch {
	case errors.Is(err, errTooLong):
		t.Errorf("%v: no end after %d requests: %+v", c, served.Requests, stats)
	case err != nil && c.in.Overcome():
		t.Errorf("%v: %v, after %d requests: %+v", c, err, served.Requests, stats)
	case err == nil && !right && (!whole || !blind(c.in.Fault)):
		t.Errorf("%v: no error, and not the right bytes", c)
	case err == nil && stats.Bytes != c.size-c.had:
		t.Errorf("%v: Stats.Bytes is %d of %d: %+v", c, stats.Bytes, c.size-c.had, stats)
	}
	if err != nil {
		wantPrintable(t, err.Error())
	}
	most := int64(max(3, c.in.Times+2)) * c.size // what an answer that cannot be used brings is in vain
	if err != nil {                              // each range was given all its tries
		most = (transfer.DefaultRetries + 2) * c.size
	}
	if !generous(c.in.Fault) && served.Sent > most || served.Requests > 150 {
		t.Errorf("%v: %d requests brought %d of %d bytes", c, served.Requests, served.Sent, c.size)
	}
	wasted := 2 * c.size
	if generous(c.in.Fault) {
		wasted = 5 * c.size
	}
	if stats.Wasted > wasted || stats.Memory > transfer.DefaultMemory || stats.Connections > max(c.connections, transfer.MaxConnections) {
		t.Errorf("%v: %+v", c, stats)
	}
	if c.connections > 0 && stats.Connections > c.connections {
		t.Errorf("%v: %d connections", c, stats.Connections)
	}
}

// wantPrintable fails where a text from outside could do harm, or tells a secret.
func wantPrintable(t *testing.T, text string) {
	t.Helper()
	for _, r := range text {
		if unicode.IsControl(r) || unicode.Is(unicode.Cf, r) {
			t.Errorf("%q is in the error %q", r, text)
		}
	}
	for _, secret := range []string{"signature-", "token-", "secret", "Bearer "} {
		if strings.Contains(text, secret) {
			t.Errorf("%q is in the error %q", secret, text)
		}
	}
	if len(text) > 2000 {
		t.Errorf("an error of %d bytes: %.200s...", len(text), text)
	}
}
