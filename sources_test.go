package mstore_test

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/mstore/mstore"
	"github.com/mstore/mstore/internal/hubtest"
	"github.com/mstore/mstore/internal/ollamatest"
)

// world is a place that has a model, and what a store needs to know to get there.
type world struct {
	ref     string
	change  func(*mstore.Options)
	requery []string // what asking for something newer costs: every request
	newer   func()   // makes the model another one
}

// worlds are one of each source across the network but registries, which have tests of their own.
func worlds(t *testing.T) map[string]world {
	t.Helper()
	hub := hubtest.Start(t, hubtest.Options{Token: "letmein"}, hubtest.Repo{ID: "org/model", Private: true, Files: []hubtest.File{
		hubtest.Text("config.json", "{}"), hubtest.LFS("model.gguf", "GGUF"),
	}})
	models := ollamatest.Start(t, ollamatest.Options{})
	layer := ollamatest.Layer{Type: "model", Content: "GGUF"}
	models.Add("library/tiny:latest", layer)
	var content atomic.Pointer[string]
	content.Store(new("GGUF"))
	site := serving(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("ETag", fmt.Sprintf(`"%x"`, sha256.Sum256([]byte(*content.Load()))))
		http.ServeContent(w, r, r.URL.Path, time.Time{}, strings.NewReader(*content.Load()))
	})
	return map[string]world{
		"hub": {
			ref:     "hf://org/model",
			change:  func(o *mstore.Options) { o.Hub = mstore.HubOptions{Endpoint: hub.Endpoint, Token: "letmein"} },
			requery: []string{"GET /api/models/org/model/revision/main"},
			newer:   func() { hub.Commit("org/model", hubtest.Main, hubtest.LFS("model.gguf", "GGUF, newer")) },
		},
		"ollama": {
			ref: "ollama://" + models.Host + "/library/tiny", change: func(*mstore.Options) {},
			requery: []string{"GET /v2/library/tiny/manifests/latest"},
			newer:   func() { models.Add("library/tiny:latest", layer, ollamatest.Layer{Type: "system", Content: "newer"}) },
		},
		"web": {
			ref: "http://" + site + "/tiny.gguf", change: func(*mstore.Options) {},
			requery: []string{"HEAD /tiny.gguf"},
			newer:   func() { content.Store(new("GGUF, newer")) },
		},
	}
}

// TestSources: a model of each world keeps where it came from. To find nothing newer is one request, to be offline none;
// something newer is found; and what the store loses is fetched again, and only where it is still the same.
func TestSources(t *testing.T) {
	for name, w := range worlds(t) {
		t.Run(name, func(t *testing.T) {
			seen, watch := watched(t)
			s := newStore(t, w.change, watch)
			first := pull(t, s, w.ref, once)
			if shown, err := s.Show(t.Context(), w.ref); err != nil || !strings.HasPrefix(shown.Source.Reference, w.ref) ||
				shown.Source.Digest != first.Digest || (shown.Source.Revision != "") != (name == "hub") || (shown.Source.Validator != "") != (name == "web") {
				t.Errorf("Show = %+v, %v", shown, err)
			}
			for _, typed := range []string{w.ref, first.Name} {
				seen.take()
				again := pull(t, s, typed, once)
				if diff := cmp.Diff(w.requery, seen.take()); diff != "" || !again.Cached || again.Digest != first.Digest {
					t.Errorf("again, as %s: cached is %v (-want +got):\n%s", typed, again.Cached, diff)
				}
			}
			pull(t, s, first.Name+"@"+first.Digest.String(), once)
			if asked := seen.take(); len(asked) != 0 {
				t.Errorf("a digest that is here was asked for: %v", asked)
			}
			lost := fileOf(t, first.Model, first.Files[len(first.Files)-1].Path).Digest
			lose(t, s, lost)
			if report, err := s.Verify(t.Context(), mstore.VerifyOptions{Repair: true}); err != nil || len(report.Bad) != 1 || !report.Bad[0].Repaired {
				t.Errorf("repair = %+v, %v", report, err)
			}
			w.newer()
			newer := pull(t, s, first.Name, once)
			if newer.Digest == first.Digest || newer.Cached || newer.Name != first.Name {
				t.Errorf("something newer: %+v", newer)
			}
			wantOffline(t, s.Dir(), w.ref, newer, w.change)
		})
	}
}

// wantOffline: a store that may not ask anybody has what it has.
func wantOffline(t *testing.T, dir, ref string, want *mstore.Pulled, change func(*mstore.Options)) {
	t.Helper()
	seen, watch := watched(t)
	o := mstore.Options{Offline: true}
	change(&o)
	watch(&o)
	s, err := mstore.Open(dir, o)
	try(t, err)
	defer s.Close()
	if p := pull(t, s, ref, once); p.Digest != want.Digest {
		t.Errorf("offline it is %s, not %s", p.Digest, want.Digest)
	}
	_, err = s.Pull(t.Context(), strings.Replace(ref, "tiny", "other", 1)+"-other", once)
	wantFailure(t, "offline", err, mstore.ErrNetwork)
	if asked := seen.take(); len(asked) != 0 {
		t.Errorf("offline were asked: %v", asked)
	}
}

// TestHubOptions: what the options say goes before the environment, and where they say nothing that counts.
func TestHubOptions(t *testing.T) {
	repo := hubtest.Repo{ID: "org/model", Private: true, Files: []hubtest.File{hubtest.Text("config.json", "{}")}}
	said, env := hubtest.Start(t, hubtest.Options{Token: "said"}, repo), hubtest.Start(t, hubtest.Options{Token: "env"}, repo)
	t.Setenv("HF_ENDPOINT", env.Endpoint)
	t.Setenv("HF_TOKEN", "env")
	for name, c := range map[string]struct {
		hub     mstore.HubOptions
		offline string
		want    mstore.Class
		asked   *hubtest.Hub
	}{
		"nothing is said":       {mstore.HubOptions{}, "", "", env},
		"both are said":         {mstore.HubOptions{Endpoint: said.Endpoint, Token: "said"}, "0", "", said},
		"the token is wrong":    {mstore.HubOptions{Token: "said"}, "", mstore.ErrAuthentication, env},
		"offline is said":       {mstore.HubOptions{Offline: true}, "0", mstore.ErrNetwork, nil},
		"the environment is so": {mstore.HubOptions{}, "1", mstore.ErrNetwork, nil},
		"or on":                 {mstore.HubOptions{}, "on", mstore.ErrNetwork, nil},
	} {
		t.Run(name, func(t *testing.T) {
			t.Setenv("HF_HUB_OFFLINE", c.offline)
			before := map[*hubtest.Hub]int{said: len(said.Requests()), env: len(env.Requests())}
			s := newStore(t, func(o *mstore.Options) { o.Hub = c.hub })
			_, err := s.Pull(t.Context(), "hf://org/model", once)
			if got := mstore.ClassOf(err); got != c.want {
				t.Errorf("Pull = %q: %v, want %q", got, err, c.want)
			}
			for hub, n := range before {
				if got := len(hub.Requests()) > n; got != (hub == c.asked) {
					t.Errorf("%s was asked: %v", hub.Endpoint, got)
				}
			}
		})
	}
}

// TestHintsOfWorlds: what to do about a refusal depends on who refuses.
func TestHintsOfWorlds(t *testing.T) {
	hub := hubtest.Start(t, hubtest.Options{Token: "letmein"}, hubtest.Repo{ID: "org/gated", Gated: true, Files: []hubtest.File{hubtest.Text("config.json", "{}")}})
	_, key := ollamatest.NewKey(t)
	models := ollamatest.Start(t, ollamatest.Options{Key: key})
	models.Add("library/tiny:latest", ollamatest.Layer{Type: "model", Content: "GGUF"})
	site := serving(t, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusForbidden) })
	t.Setenv("HOME", t.TempDir())
	s := newStore(t, func(o *mstore.Options) { o.Hub.Endpoint = hub.Endpoint })
	for ref, want := range map[string]string{
		"hf://org/gated": "HF_TOKEN",
		"ollama://" + models.Host + "/library/tiny": "id_ed25519.pub",
		"http://" + site + "/tiny.gguf":             "NAME:PASSWORD@HOST",
	} {
		_, err := s.Pull(t.Context(), ref, once)
		if hint := mstore.Hint(err); !errors.Is(err, mstore.ErrAuthentication) || !strings.Contains(hint, want) || strings.Contains(hint, "login") {
			t.Errorf("%s: %v\nhint: %s, want %q in it", ref, err, hint, want)
		}
	}
}
