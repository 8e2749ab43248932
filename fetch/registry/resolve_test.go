package registry_test

import (
	"bytes"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/mstore/mstore/fetch/registry"
	"github.com/mstore/mstore/fetch/source"
	"github.com/mstore/mstore/internal/registrytest"
	"github.com/mstore/mstore/manifest"
)

// registries are the implementations that tests run against.
var registries = map[string]func(t *testing.T) (host string){
	"distribution": func(t *testing.T) string { t.Helper(); return registrytest.Start(t, registrytest.Options{}).Host },
	"crane":        func(t *testing.T) string { t.Helper(); return registrytest.StartCrane(t).Host },
}

func TestPushThenResolveAndFetch(t *testing.T) {
	for name, start := range registries {
		t.Run(name, func(t *testing.T) {
			host := start(t)
			c := client(t)
			pushed := newModel(t, 3<<20, 17, 0)
			pushed.push(t, target(t, c, host+"/org/model:v1"))
			want := pushed.m.Descriptor.Digest

			for _, ref := range []string{
				host + "/org/model:v1", host + "/org/model@" + string(want), host + "/org/model:v1@" + string(want),
			} {
				m := resolve(t, c, ref, source.Options{})
				if m.Digest != want || m.Manifest == nil || m.Manifest.Descriptor.Digest != want || m.Unchanged || !m.PlainHTTP {
					t.Fatalf("Resolve(%s) = %+v", ref, m)
				}
				if m.Reference != "oci://"+ref {
					t.Errorf("Reference = %q, want oci://%s", m.Reference, ref)
				}
				for i, layer := range pushed.layers {
					got, stats, err := fetch(t, m, describe(layer))
					if err != nil || !bytes.Equal(got, layer) || stats.Retries != 0 {
						t.Errorf("layer %d: %d bytes, %+v, %v", i, len(got), stats, err)
					}
				}
			}
		})
	}
}

func TestNames(t *testing.T) {
	host := registrytest.StartCrane(t).Host
	c := client(t)
	pushed := newModel(t, 5)
	pushed.push(t, target(t, c, host+"/m"))
	at := "@" + string(pushed.m.Descriptor.Digest)
	for ref, want := range map[string]string{
		host + "/m":             host + "/m:latest",
		host + "/m:latest":      host + "/m:latest",
		host + "/m" + at:        host + "/m" + at,
		host + "/m:latest" + at: host + "/m:latest",
	} {
		if m := resolve(t, c, ref, source.Options{}); m.Name != want {
			t.Errorf("Resolve(%s).Name = %q, want %q", ref, m.Name, want)
		}
	}
}

// TestUnchangedIsOneRequest counts them: a pull of what is there must cost no more than it has to.
func TestUnchangedIsOneRequest(t *testing.T) {
	r := registrytest.Start(t, registrytest.Options{})
	host, asked := proxy(t, r.Host, nil)
	c := client(t, func(o *registry.Options) { o.UserAgent = "mstore/test" })
	pushed := newModel(t, 5)
	pushed.push(t, target(t, c, r.Host+"/m:v1"))
	have := pushed.m.Descriptor.Digest

	m := resolve(t, c, host+"/m:v1", source.Options{Have: have, PlainHTTP: true})
	if !m.Unchanged || m.Digest != have || m.Manifest != nil || m.Name != host+"/m:v1" {
		t.Errorf("Resolve = %+v, want unchanged", m)
	}
	if got := asked.requests(); len(got) != 1 || got[0].Method != http.MethodHead || got[0].Header.Get("User-Agent") != "mstore/test" {
		t.Errorf("requests %v, want one HEAD of mstore/test", got)
	}
	m = resolve(t, c, "127.0.0.1:1/m@"+string(have), source.Options{Have: have})
	if !m.Unchanged {
		t.Errorf("a digest that is had was asked for: %+v", m)
	}
	m = resolve(t, c, host+"/m:v1", source.Options{Have: digest.FromString("older")})
	if m.Unchanged || m.Manifest == nil {
		t.Errorf("what changed is unchanged: %+v", m)
	}
}

func TestIndexByPlatform(t *testing.T) {
	for name, start := range registries {
		t.Run(name, func(t *testing.T) {
			host := start(t)
			c := client(t)
			platforms := []ocispec.Platform{
				{OS: "linux", Architecture: "amd64"}, {OS: "linux", Architecture: "arm64", Variant: "v8"},
			}
			var entries []ocispec.Descriptor
			for i, p := range platforms {
				m := newModel(t, 10+i)
				m.push(t, target(t, c, host+"/m@"+string(m.m.Descriptor.Digest)))
				d := m.m.Descriptor
				d.Platform = &p
				entries = append(entries, d)
			}
			raw := index(t, entries...)
			top, err := target(t, c, host+"/m:v1").PushManifest(t.Context(), ocispec.MediaTypeImageIndex, raw)
			if err != nil {
				t.Fatal(err)
			}
			for i, p := range platforms {
				m := resolve(t, c, host+"/m:v1", source.Options{Platform: &p})
				if m.Digest != top || m.Manifest.Descriptor.Digest != entries[i].Digest {
					t.Errorf("for %v: %s leads to %s", p, m.Digest, m.Manifest.Descriptor.Digest)
				}
			}
			if m := resolve(t, c, host+"/m:v1", source.Options{Have: top}); !m.Unchanged {
				t.Error("an index that is had is not unchanged")
			}
			other := &ocispec.Platform{OS: "plan9", Architecture: "mips"}
			if _, err := c.Resolve(t.Context(), host+"/m:v1", source.Options{Platform: other}); !errors.Is(err, manifest.ErrNoPlatform) {
				t.Errorf("for plan9: %v, want ErrNoPlatform", err)
			}
		})
	}
}

func TestNotFoundSaysWhat(t *testing.T) {
	for name, start := range registries {
		t.Run(name, func(t *testing.T) {
			host := start(t)
			c := client(t)
			newModel(t, 5).push(t, target(t, c, host+"/there:v1"))
			for ref, want := range map[string]string{
				host + "/there:v2":     "manifest v2 of " + host + "/there",
				host + "/not/there:v1": "repository " + host + "/not/there",
			} {
				_, err := c.Resolve(t.Context(), ref, source.Options{})
				if !errors.Is(err, source.ErrNotFound) || !strings.HasPrefix(err.Error(), want) {
					t.Errorf("Resolve(%s) = %v, want source.ErrNotFound of %q", ref, err, want)
				}
			}
			m := resolve(t, c, host+"/there:v1", source.Options{})
			if _, _, err := fetch(t, m, describe([]byte("nothing like it"))); !errors.Is(err, source.ErrNotFound) {
				t.Errorf("fetch of a blob that is not there = %v", err)
			}
		})
	}
}

func TestNobodyThereIsANetError(t *testing.T) {
	r := registrytest.StartCrane(t)
	r.Stop()
	for _, plain := range []bool{true, false} {
		_, err := client(t).Resolve(t.Context(), r.Host+"/m", source.Options{PlainHTTP: plain})
		var op *net.OpError
		if !errors.As(err, &op) || op.Op != "dial" {
			t.Errorf("Resolve at nobody's (plain %v) = %v, want the error of net", plain, err)
		}
	}
	_, err := target(t, client(t), r.Host+"/m", plainHTTP).HasBlob(t.Context(), describe(nil))
	if _, ok := errors.AsType[*net.OpError](err); !ok {
		t.Errorf("HasBlob at nobody's = %v, want the error of net", err)
	}
}

func plainHTTP(o *registry.TargetOptions) { o.PlainHTTP = true }

// proxy stands before a real registry and lets change look at, or answer, each request.
func proxy(t *testing.T, to string, change func(w http.ResponseWriter, r *http.Request) (done bool)) (string, *log) {
	t.Helper()
	forward := httputil.NewSingleHostReverseProxy(&url.URL{Scheme: "http", Host: to})
	forward.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelError)
	return serve(t, func(w http.ResponseWriter, r *http.Request) {
		if change == nil || !change(w, r) {
			forward.ServeHTTP(w, r)
		}
	})
}

// TestTokenRunsOutMidway takes the token away from every third request, as a registry does when it has expired.
func TestTokenRunsOutMidway(t *testing.T) {
	r := registrytest.Start(t, registrytest.Options{Token: true})
	var n atomic.Int64
	host, _ := proxy(t, r.Host, func(w http.ResponseWriter, req *http.Request) bool {
		if strings.Contains(req.URL.Path, "/blobs/") && n.Add(1)%3 == 1 {
			req.Header.Del("Authorization")
		}
		if strings.Contains(req.URL.Path, "/blobs/") && req.Method == http.MethodGet && n.Load() < 4 {
			w = &cutting{w, 100 << 10}
			httputil.NewSingleHostReverseProxy(&url.URL{Scheme: "http", Host: r.Host}).ServeHTTP(w, req)
			panic(http.ErrAbortHandler)
		}
		return false
	})
	pushed := newModel(t, 1<<20)
	pushed.push(t, target(t, client(t, as(r.Host), trust(r)), r.Host+"/m"))
	m := resolve(t, client(t), host+"/m", source.Options{})
	got, stats, err := fetch(t, m, describe(pushed.layers[0]))
	if err != nil || !bytes.Equal(got, pushed.layers[0]) || stats.Retries == 0 {
		t.Fatalf("%d bytes, %+v, %v", len(got), stats, err)
	}
	if len(r.Tokens.Issued()) < 3 {
		t.Errorf("tokens issued for %q; want one more after the first ran out", r.Tokens.Issued())
	}
}

// cutting passes the first bytes of a body on and drops the rest.
type cutting struct {
	http.ResponseWriter
	left int
}

func (c *cutting) Write(p []byte) (int, error) {
	n := min(len(p), c.left)
	c.left -= n
	_, err := c.ResponseWriter.Write(p[:n])
	return len(p), err
}

func TestForeignPushIsResolved(t *testing.T) {
	host := registrytest.Start(t, registrytest.Options{}).Host
	dir := t.TempDir()
	write(t, filepath.Join(dir, "w.bin"), "weights")
	cmd := exec.CommandContext(t.Context(), registrytest.Tool(t, "oras"), "push", "--plain-http", host+"/m:v1", "w.bin:application/octet-stream")
	cmd.Dir = dir
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	m := resolve(t, client(t), host+"/m:v1", source.Options{})
	f, ok := m.Manifest.File("w.bin")
	if !ok {
		t.Fatalf("files %+v", m.Manifest.Files)
	}
	if got, _, err := fetch(t, m, f.Descriptor); err != nil || string(got) != "weights" {
		t.Errorf("fetch = %q, %v", got, err)
	}
}

func TestForeignPullOfAPush(t *testing.T) {
	for name, start := range registries {
		t.Run(name, func(t *testing.T) {
			host := start(t)
			pushed := newModel(t, 300<<10)
			pushed.push(t, target(t, client(t), host+"/m:v1"))
			out, err := exec.CommandContext(t.Context(), registrytest.Tool(t, "crane"), "digest", "--insecure", host+"/m:v1").CombinedOutput()
			if err != nil || strings.TrimSpace(string(out)) != string(pushed.m.Descriptor.Digest) {
				t.Errorf("crane digest: %s, %v", out, err)
			}
			dir := t.TempDir()
			cmd := exec.CommandContext(t.Context(), registrytest.Tool(t, "oras"), "pull", "--plain-http", "-o", dir, host+"/m:v1")
			if out, err := cmd.CombinedOutput(); err != nil {
				t.Fatalf("oras pull: %v: %s", err, out)
			}
			if got := read(t, filepath.Join(dir, "a.bin")); got != string(pushed.layers[0]) {
				t.Errorf("oras pulled %d other bytes", len(got))
			}
		})
	}
}
