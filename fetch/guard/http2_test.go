package guard_test

import (
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/mstore/mstore/fetch/guard"
)

// TestServersOfHTTP2: a server that would speak HTTP/2 is spoken to in HTTP/1.1, by whatever transport is given.
func TestServersOfHTTP2(t *testing.T) {
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Seen", r.Proto)
	}))
	server.EnableHTTP2 = true
	server.StartTLS()
	t.Cleanup(server.Close)
	used := server.Client()
	if resp, err := used.Get(server.URL); err != nil || resp.Proto != "HTTP/2.0" {
		t.Fatalf("the server speaks %v (%v), want HTTP/2", resp, err)
	}
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, server.URL, http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := guard.New(used, nil).Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if got := resp.Header.Get("Seen"); got != "HTTP/1.1" {
		t.Errorf("the server was spoken to in %s, want HTTP/1.1", got)
	}
}
