package hub_test

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/mstore/mstore/fetch/hub"
	"github.com/mstore/mstore/fetch/source"
	"github.com/mstore/mstore/fetch/transfer"
	"github.com/mstore/mstore/internal/hubtest"
)

// TestWhoMayHaveWhat tells apart what the hub says in the same status.
func TestWhoMayHaveWhat(t *testing.T) {
	files := []hubtest.File{hubtest.LFS("w.safetensors", "weights"), hubtest.Text("config.json", "{}")}
	for name, c := range map[string]struct {
		ref, token string
		granted    bool
		want       error
		says       string
	}{
		"public":                       {"org/public", "", false, nil, ""},
		"public, with a token":         {"org/public", secret, false, nil, ""},
		"public, with a bad token":     {"org/public", "hf_other", false, source.ErrAuth, "the token that was sent"},
		"missing":                      {"org/none", "", false, source.ErrNotFound, "HF_TOKEN"},
		"missing, with a token":        {"org/none", secret, false, source.ErrNotFound, "the token that was sent"},
		"missing, with a bad token":    {"org/none", "hf_other", false, source.ErrAuth, "the token that was sent"},
		"no such revision":             {"org/public@v9", "", false, source.ErrNotFound, `no revision "v9"`},
		"private":                      {"org/private", "", false, source.ErrNotFound, "or private: no token was sent; put one into HF_TOKEN"},
		"private, with the token":      {"org/private", secret, false, nil, ""},
		"disabled":                     {"org/disabled", "", false, source.ErrNotFound, "disabled"},
		"gated":                        {"org/gated", "", false, source.ErrAuth, "accept its terms at ENDPOINT/org/gated, and put a token"},
		"gated, terms not accepted":    {"org/gated", secret, false, source.ErrAuth, "accept its terms at ENDPOINT/org/gated, with the account"},
		"gated, with accepted terms":   {"org/gated", secret, true, nil, ""},
		"a token that nobody can send": {"org/public", "hf_\nX: y", false, source.ErrAuth, "characters"},
	} {
		t.Run(name, func(t *testing.T) {
			h := hubtest.Start(t, hubtest.Options{Token: secret, Granted: c.granted},
				hubtest.Repo{ID: "org/public", Files: files}, hubtest.Repo{ID: "org/private", Private: true, Files: files},
				hubtest.Repo{ID: "org/gated", Gated: true, Files: files}, hubtest.Repo{ID: "org/disabled", Disabled: true, Files: files})
			m, err := client(t, h, as(c.token)).Resolve(t.Context(), c.ref, options())
			if err == nil {
				for _, f := range m.Files {
					_, failed := read(t, f, 0, -1)
					err = errors.Join(err, failed)
				}
			}
			if !errors.Is(err, c.want) {
				t.Fatalf("%v, want %v", err, c.want)
			}
			if err == nil {
				return
			}
			if says := strings.ReplaceAll(c.says, "ENDPOINT", h.Endpoint); !strings.Contains(err.Error(), says) {
				t.Errorf("%v, which does not say %q", err, says)
			}
			if c.token != "" && strings.Contains(err.Error(), c.token) || transfer.Retryable(err) {
				t.Errorf("the error tells the token, or is tried again: %v", err)
			}
		})
	}
}

func TestATokenThatCannotBeRead(t *testing.T) {
	broken := errors.New("broken")
	h := hubtest.Start(t, hubtest.Options{}, hubtest.Repo{ID: id, Files: named("a.json")})
	c := client(t, h, func(o *hub.Options) { o.Token = func(context.Context) (string, error) { return "", broken } })
	if _, err := c.Resolve(t.Context(), id, options()); !errors.Is(err, source.ErrAuth) || !errors.Is(err, broken) {
		t.Errorf("Resolve = %v, want ErrAuth and what was wrong", err)
	}
	if n := len(h.Requests()); n != 0 {
		t.Errorf("%d requests were made without it", n)
	}
}

// answers makes a hub that answers what a test wants, to the first n requests that match.
func answers(n int, part string, answer http.HandlerFunc) hubtest.Options {
	return hubtest.Options{Before: func(w http.ResponseWriter, r *http.Request) bool {
		if n == 0 || !strings.Contains(r.URL.Path, part) {
			return false
		}
		n--
		answer(w, r)
		return true
	}}
}

// TestRateLimits: the hub says how long to wait in a header of its own.
func TestRateLimits(t *testing.T) {
	for name, c := range map[string]struct {
		header map[string]string
		want   time.Duration
	}{
		"nothing":             {nil, 0},
		"of the hub":          {map[string]string{"RateLimit": `"resolvers";r=0;t=120`, "RateLimit-Policy": `"fixed window";"resolvers";q=3000;w=300`}, 2 * time.Minute},
		"of several":          {map[string]string{"RateLimit": `"api";r=7;t=250, "resolvers"; r=0; t=12`}, 12 * time.Second},
		"Retry-After decides": {map[string]string{"RateLimit": `"api";r=0;t=120`, "Retry-After": "3"}, 3 * time.Second},
		"absurd":              {map[string]string{"RateLimit": `"api";r=0;t=99999999999`}, 24 * time.Hour},
		"overflowing":         {map[string]string{"RateLimit": `"api";r=0;t=999999999999999999999999`}, 0},
		"negative":            {map[string]string{"RateLimit": `"api";r=0;t=-5`}, 0},
		"nonsense":            {map[string]string{"RateLimit": `;;=,t=,"\x1b`}, 0},
	} {
		for _, part := range []string{"/api/", "/resolve/"} {
			t.Run(name+part, func(t *testing.T) {
				h := hubtest.Start(t, answers(-1, part, func(w http.ResponseWriter, _ *http.Request) {
					for k, v := range c.header {
						w.Header().Set(k, v)
					}
					w.WriteHeader(http.StatusTooManyRequests)
				}), hubtest.Repo{ID: id, Files: named("a.json")})
				opts := options()
				opts.Transfer.Retries = -1
				m, err := client(t, h).Resolve(t.Context(), id, opts)
				if err == nil {
					_, err = read(t, m.Files[0], 0, -1)
				}
				var status *transfer.StatusError
				if !errors.As(err, &status) || status.RetryAfter != c.want || !transfer.Retryable(err) {
					t.Errorf("%v, want a 429 that asks to wait %v", err, c.want)
				}
			})
		}
	}
}

// TestTheAPIIsAskedAgain after what passes by, and not after what does not.
func TestTheAPIIsAskedAgain(t *testing.T) {
	for status, again := range map[int]bool{500: true, 503: true, 429: true, 400: false, 403: false, 404: false} {
		for _, part := range []string{"/revision/", "/tree/"} {
			h := hubtest.Start(t, answers(1, part, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(status) }),
				hubtest.Repo{ID: id, Files: named("a.json")})
			if _, err := client(t, h).Resolve(t.Context(), id, options()); (err == nil) != again {
				t.Errorf("one %d for %s: %v", status, part, err)
			}
		}
	}
	cut := answers(1, "/tree/", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Length", "1000")
		_, _ = w.Write([]byte("[{"))
	})
	if _, err := client(t, hubtest.Start(t, cut, hubtest.Repo{ID: id, Files: named("a.json")})).Resolve(t.Context(), id, options()); err != nil {
		t.Errorf("after a list that broke off: %v", err)
	}
}
