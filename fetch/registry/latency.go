package registry

import (
	"context"
	"net/http"
	"net/http/httptrace"
	"sync"
	"time"
)

// stopwatch measures from the end of a request to the first byte of its answer, of the last request when there were
// several.
type stopwatch struct {
	mu   sync.Mutex
	sent time.Time
	took time.Duration
}

func (w *stopwatch) trace(ctx context.Context) context.Context {
	return httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{
		WroteRequest: func(httptrace.WroteRequestInfo) {
			w.mu.Lock()
			defer w.mu.Unlock()
			w.sent = time.Now()
		},
		GotFirstResponseByte: func() {
			w.mu.Lock()
			defer w.mu.Unlock()
			w.took = time.Since(w.sent)
		},
	})
}

func (w *stopwatch) read() time.Duration {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.took
}

// answered remembers how fast a host answers at its best. What another host has answered says nothing of it.
func (c *Client) answered(host string, resp *http.Response, took time.Duration) {
	if took <= 0 || resp.Request == nil || resp.Request.URL.Host != host {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if best, ok := c.latencies[host]; !ok || took < best {
		c.latencies[host] = took
	}
}

// latency is how fast a host answers; 0 when it never did.
func (c *Client) latency(host string) time.Duration {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.latencies[host]
}
