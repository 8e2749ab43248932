package registry_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/mstore/mstore/fetch/registry"
	"github.com/mstore/mstore/fetch/source"
	"github.com/mstore/mstore/fetch/transfer"
	"github.com/mstore/mstore/manifest"
)

// page answers as a web server does.
func page(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.WriteHeader(http.StatusNotFound)
	_, _ = w.Write([]byte("<html>\x1b[31mno such page</html>"))
}

// manifests serves manifests by the last part of the path, each as its media type.
func manifests(t *testing.T, all map[string][2]string) string {
	t.Helper()
	host, _ := serve(t, func(w http.ResponseWriter, r *http.Request) {
		m, ok := all[r.URL.Path[strings.LastIndexByte(r.URL.Path, '/')+1:]]
		if !ok {
			http.Error(w, `{"errors":[]}`, http.StatusNotFound)
			return
		}
		w.Header().Set("Content-Type", m[0])
		_, _ = w.Write([]byte(m[1]))
	})
	return host
}

func TestHostileManifests(t *testing.T) {
	good := string(newModel(t, 9).m.Raw)
	const oci, list = ocispec.MediaTypeImageManifest, ocispec.MediaTypeImageIndex
	evil := strings.Replace(good, `"digest":"sha256:`, `"digest":"sha256:../../`, 1)
	other := ocispec.Descriptor{MediaType: oci, Digest: digest.FromString("other"), Size: int64(len(good))}
	sized := ocispec.Descriptor{MediaType: oci, Digest: digest.FromString(good), Size: 1 << 62}
	typed := ocispec.Descriptor{MediaType: list, Digest: digest.FromString(good), Size: int64(len(good))}
	for name, c := range map[string]struct {
		mediaType, body string
		want            error
	}{
		"5 MB":                    {oci, strings.Repeat(" ", 5<<20) + good, manifest.ErrMalformed},
		"no JSON":                 {oci, "\x00\x1b[2J", manifest.ErrMalformed},
		"empty":                   {oci, "", manifest.ErrMalformed},
		"a digest that is a path": {oci, evil, manifest.ErrMalformed},
		"layers and manifests":    {oci, strings.Replace(good, "{", `{"manifests":[],`, 1), manifest.ErrMalformed},
		"other type than it says": {list, good, manifest.ErrMalformed},
		"a type that is no manifest's": {
			"application/vnd.docker.distribution.manifest.v1+prettyjws", good, manifest.ErrMalformed,
		},
		"a web page":               {"text/html", "<html>", source.ErrProtocol},
		"an index to other bytes":  {list, string(index(t, other)), source.ErrDigest},
		"an index of other sizes":  {list, string(index(t, sized)), manifest.ErrMalformed},
		"an index to another type": {list, string(index(t, typed)), manifest.ErrMalformed},
	} {
		t.Run(name, func(t *testing.T) {
			host := manifests(t, map[string][2]string{
				"latest":             {c.mediaType, c.body},
				string(other.Digest): {oci, good},
				string(sized.Digest): {oci, good},
			})
			_, err := client(t).Resolve(t.Context(), host+"/m", source.Options{PlainHTTP: true})
			if !errors.Is(err, c.want) {
				t.Errorf("Resolve = %v, want %v", err, c.want)
			}
			if err != nil && (len(err.Error()) > 1000 || strings.ContainsAny(err.Error(), "\x00\x1b")) {
				t.Errorf("the error is not fit to print: %q", err)
			}
		})
	}
}

func TestIndexesInIndexes(t *testing.T) {
	good := newModel(t, 9).m
	chain := func(n int) map[string][2]string {
		all := map[string][2]string{string(good.Descriptor.Digest): {good.Descriptor.MediaType, string(good.Raw)}}
		next := good.Descriptor
		for range n {
			raw := index(t, next)
			next = ocispec.Descriptor{MediaType: ocispec.MediaTypeImageIndex, Digest: digest.FromBytes(raw), Size: int64(len(raw))}
			all[string(next.Digest)] = [2]string{next.MediaType, string(raw)}
			all["latest"] = all[string(next.Digest)]
		}
		return all
	}
	c := client(t)
	resolve(t, c, manifests(t, chain(manifest.MaxDepth))+"/m", source.Options{})
	_, err := c.Resolve(t.Context(), manifests(t, chain(manifest.MaxDepth+1))+"/m", source.Options{})
	if !errors.Is(err, manifest.ErrMalformed) {
		t.Errorf("%d indexes: %v, want ErrMalformed", manifest.MaxDepth+1, err)
	}
}

// TestGenericContentType: servers that call every file the same are still registries.
func TestGenericContentType(t *testing.T) {
	good := newModel(t, 9).m
	for _, mediaType := range []string{"", "application/json", "application/octet-stream", "text/plain; charset=utf-8"} {
		host := manifests(t, map[string][2]string{"latest": {mediaType, string(good.Raw)}})
		resolve(t, client(t), host+"/m", source.Options{PlainHTTP: true})
	}
}

func TestDigestsAreCompared(t *testing.T) {
	good, other := newModel(t, 9).m, digest.FromString("other")
	host, _ := serve(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", good.Descriptor.MediaType)
		if strings.HasSuffix(r.URL.Path, "/lying") {
			w.Header().Set("Docker-Content-Digest", string(other))
		}
		_, _ = w.Write(good.Raw)
	})
	for _, ref := range []string{"/m:lying", "/m@" + string(other), "/m:v1@" + string(other)} {
		if _, err := client(t).Resolve(t.Context(), host+ref, source.Options{}); !errors.Is(err, source.ErrDigest) {
			t.Errorf("Resolve(%s) = %v, want source.ErrDigest", ref, err)
		}
	}
	resolve(t, client(t), host+"/m:v1", source.Options{Have: other})
}

func TestAnswersThatAreNoManifest(t *testing.T) {
	refuse := func(status int, kind, body string) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Type", kind)
			w.WriteHeader(status)
			_, _ = w.Write([]byte(body))
		}
	}
	denied := `{"errors":[{"code":"DENIED","message":"\u001b[31mno\u202e entry\nhere"}]}`
	for name, c := range map[string]struct {
		handler http.HandlerFunc
		want    error
		says    string
	}{
		"a web server":        {page, source.ErrProtocol, ""},
		"a plain 404":         {http.NotFound, source.ErrProtocol, ""},
		"denied":              {refuse(403, "application/json", denied), source.ErrAuth, "no entry here"},
		"a 401 without means": {refuse(401, "text/plain", "go away"), source.ErrAuth, "it did not ask for credentials"},
		"unknown name":        {refuse(404, "application/json", `{"errors":[{"code":"NAME_UNKNOWN"}]}`), source.ErrNotFound, "repository"},
		"an endless error":    {endless, source.ErrAuth, ""},
	} {
		t.Run(name, func(t *testing.T) {
			host, _ := serve(t, c.handler)
			_, err := client(t).Resolve(t.Context(), host+"/m", source.Options{PlainHTTP: true, Transfer: quick})
			if !errors.Is(err, c.want) || !strings.Contains(err.Error(), c.says) {
				t.Errorf("Resolve = %v, want %v that says %q", err, c.want, c.says)
			}
			if err != nil && (len(err.Error()) > 1500 || strings.ContainsAny(err.Error(), "\x1b\u202e\n")) {
				t.Errorf("the error is not fit to print: %q", err)
			}
		})
	}
}

func endless(w http.ResponseWriter, r *http.Request) {
	w.WriteHeader(http.StatusForbidden)
	for r.Context().Err() == nil {
		if _, err := w.Write([]byte(strings.Repeat("x", 32<<10))); err != nil {
			return
		}
	}
}

// TestResolveIsPatient: what a registry says now and then is not final, what it says for good is.
func TestResolveIsPatient(t *testing.T) {
	good := newModel(t, 9).m
	for _, c := range []struct {
		fail int // requests
		want bool
	}{{3, true}, {100, false}} {
		var n int
		host, _ := serve(t, func(w http.ResponseWriter, _ *http.Request) {
			if n++; n <= c.fail {
				http.Error(w, "<html>", http.StatusBadGateway)
				return
			}
			_, _ = w.Write(good.Raw)
		})
		_, err := client(t).Resolve(t.Context(), host+"/m", source.Options{PlainHTTP: true, Transfer: quick})
		var status *transfer.StatusError
		if c.want != (err == nil) || err != nil && (!errors.As(err, &status) || status.Status != http.StatusBadGateway) {
			t.Errorf("after %d times 502: %v", c.fail, err)
		}
	}
}

func TestResolveOfASilentServerEnds(t *testing.T) {
	host, _ := serve(t, func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() })
	_, err := client(t).Resolve(t.Context(), host+"/m", source.Options{
		PlainHTTP: true, Transfer: transfer.Options{Stall: 50 * time.Millisecond, Retries: -1},
	})
	if _, ok := errors.AsType[*transfer.StallError](err); !ok {
		t.Errorf("Resolve = %v, want a StallError", err)
	}
}

func TestForeignURLsAreIgnored(t *testing.T) {
	evil, asked := attacker(t)
	m := newModel(t, 9)
	raw := strings.Replace(string(m.m.Raw), `"layers":[{`, fmt.Sprintf(`"layers":[{"urls":["http://%s/x"],`, evil), 1)
	host := manifests(t, map[string][2]string{"latest": {m.m.Descriptor.MediaType, raw}})
	model := resolve(t, client(t), host+"/m", source.Options{})
	if _, _, err := fetch(t, model, model.Manifest.Layers[0]); !errors.Is(err, source.ErrNotFound) {
		t.Errorf("fetch = %v, want source.ErrNotFound", err)
	}
	if all := asked.requests(); len(all) != 0 {
		t.Errorf("a foreign URL was asked %v", all)
	}
}

func TestTLS(t *testing.T) {
	good := newModel(t, 9).m
	srv := serveTLS(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.ProtoMajor != 1 {
			t.Errorf("asked in %s, want HTTP/1.1", r.Proto)
		}
		_, _ = w.Write(good.Raw)
	}))
	host := strings.TrimPrefix(srv.URL, "https://")
	if _, err := client(t).Resolve(t.Context(), host+"/m", source.Options{}); err == nil || !strings.Contains(err.Error(), "certificate") {
		t.Errorf("Resolve of a self-signed registry = %v, want an error about its certificate and no plain HTTP", err)
	}
	m := resolve(t, client(t, func(o *registry.Options) { o.HTTP = srv.Client() }), host+"/m", source.Options{})
	if m.PlainHTTP {
		t.Error("a registry with TLS was spoken to without")
	}
}

// TestNoDowngrade: a host that is not on loopback is never spoken to without TLS, unless that was asked for.
func TestNoDowngrade(t *testing.T) {
	asked := 0
	plain := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { asked++ }))
	defer plain.Close()
	transport := &http.Transport{DialContext: dialTo(strings.TrimPrefix(plain.URL, "http://"))}
	c := client(t, func(o *registry.Options) { o.HTTP = &http.Client{Transport: transport} })
	_, err := c.Resolve(t.Context(), "registry.example:5000/m", source.Options{Transfer: quick})
	if !errors.Is(err, http.ErrSchemeMismatch) || asked > 0 {
		t.Errorf("Resolve = %v after %d requests without TLS, want http.ErrSchemeMismatch", err, asked)
	}
	said := client(t, func(o *registry.Options) {
		o.HTTP = &http.Client{Transport: transport}
		o.PlainHTTP = func(host string) bool { return host == "registry.example:5000" }
	})
	if _, err := said.Resolve(t.Context(), "registry.example:5000/m", source.Options{}); !errors.Is(err, manifest.ErrMalformed) || asked == 0 {
		t.Errorf("Resolve = %v after %d requests, want the answer to one without TLS", err, asked)
	}
}

// TestServersThatHangUpOnTLS are plain all the same.
func TestServersThatHangUpOnTLS(t *testing.T) {
	good := newModel(t, 9).m
	srv := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(good.Raw) }))
	srv.Listener = &rude{srv.Listener}
	srv.Start()
	t.Cleanup(srv.Close)
	if m := resolve(t, client(t), strings.TrimPrefix(srv.URL, "http://")+"/m", source.Options{}); !m.PlainHTTP {
		t.Errorf("Resolve = %+v, want it without TLS", m)
	}
}

// rude closes connections that begin with a TLS record.
type rude struct{ net.Listener }

func (l *rude) Accept() (net.Conn, error) {
	for {
		conn, err := l.Listener.Accept()
		if err != nil {
			return nil, err
		}
		first := make([]byte, 1)
		if _, err := io.ReadFull(conn, first); err != nil || first[0] == 0x16 {
			_ = conn.Close()
			continue
		}
		return &unread{conn, bytes.NewReader(first)}, nil
	}
}

// unread is a connection whose first bytes were read already.
type unread struct {
	net.Conn
	first *bytes.Reader
}

func (u *unread) Read(p []byte) (int, error) {
	if u.first.Len() > 0 {
		return u.first.Read(p)
	}
	return u.Conn.Read(p)
}
