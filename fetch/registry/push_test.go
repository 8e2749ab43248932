package registry_test

import (
	"bytes"
	"errors"
	"net/http"
	"os"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/mstore/mstore/fetch/registry"
	"github.com/mstore/mstore/fetch/source"
	"github.com/mstore/mstore/fetch/transfer"
	"github.com/mstore/mstore/internal/registrytest"
)

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o755); err != nil {
		t.Fatal(err)
	}
}

func read(t *testing.T, path string) string {
	t.Helper()
	raw, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(raw)
}

func TestPushSendsOnlyWhatIsMissing(t *testing.T) {
	r := registrytest.Start(t, registrytest.Options{})
	host, asked := proxy(t, r.Host, nil)
	c := client(t)
	m := newModel(t, 200<<10, 0)
	for d, outcome := range m.push(t, target(t, c, host+"/a:v1")) {
		if outcome != registry.Sent {
			t.Errorf("first push of %s: %s", d, outcome)
		}
	}
	for d, outcome := range m.push(t, target(t, c, host+"/a:v2")) {
		if outcome != registry.Present {
			t.Errorf("second push of %s: %s", d, outcome)
		}
	}
	before := len(asked.requests())
	mounted := m.push(t, target(t, c, host+"/b:v1", func(o *registry.TargetOptions) { o.MountFrom = host + "/a:v1" }))
	for d, outcome := range mounted {
		if outcome != registry.Mounted {
			t.Errorf("push of %s into another repository: %s", d, outcome)
		}
	}
	for _, r := range asked.requests()[before:] {
		if r.Body > 0 && !strings.Contains(r.Path, "/manifests/") {
			t.Errorf("%d bytes were sent with %s %s", r.Body, r.Method, r.Path)
		}
	}
	resolve(t, c, host+"/b:v1", source.Options{})
}

func TestMountThatIsNotPossibleIsAnUpload(t *testing.T) {
	for name, from := range map[string]string{"no such repository": "/nothing:v1", "another registry": "", "itself": "/m:v1"} {
		t.Run(name, func(t *testing.T) {
			host := registrytest.Start(t, registrytest.Options{}).Host
			mountFrom := host + from
			if from == "" {
				mountFrom = "registry.example/m:v1"
			}
			m := newModel(t, 9)
			to := target(t, client(t), host+"/m:v1", func(o *registry.TargetOptions) { o.MountFrom = mountFrom })
			for d, outcome := range m.push(t, to) {
				if outcome != registry.Sent {
					t.Errorf("%s: %s", d, outcome)
				}
			}
		})
	}
}

func TestProgressReachesTheEnd(t *testing.T) {
	host := registrytest.StartCrane(t).Host
	blob := noise(1, 1<<20)
	var last int64
	_, err := target(t, client(t), host+"/m").PushBlob(t.Context(), describe(blob), bytes.NewReader(blob), func(p registry.Progress) {
		if p.Done < last {
			t.Errorf("progress fell from %d to %d", last, p.Done)
		}
		last = p.Done
	})
	if err != nil || last != int64(len(blob)) {
		t.Errorf("progress ended at %d of %d, %v", last, len(blob), err)
	}
}

// TestPushSurvives makes one request of each kind fail in front of a real registry.
func TestPushSurvives(t *testing.T) {
	cut := func(w http.ResponseWriter, _ *http.Request) bool { panic(http.ErrAbortHandler) }
	answer := func(status int) func(http.ResponseWriter, *http.Request) bool {
		return func(w http.ResponseWriter, _ *http.Request) bool { w.WriteHeader(status); return true }
	}
	for _, method := range []string{http.MethodHead, http.MethodPost, http.MethodPut} {
		for name, fault := range map[string]func(http.ResponseWriter, *http.Request) bool{
			"cut": cut, "503": answer(503), "429": answer(429),
		} {
			t.Run(method+" "+name, func(t *testing.T) {
				r := registrytest.StartCrane(t)
				var n atomic.Int64
				host, _ := proxy(t, r.Host, func(w http.ResponseWriter, req *http.Request) bool {
					if req.Method == method && n.Add(1) <= 2 {
						return fault(w, req)
					}
					return false
				})
				c := client(t)
				m := newModel(t, 100<<10)
				m.push(t, target(t, c, host+"/m:v1"))
				resolve(t, c, host+"/m:v1", source.Options{})
			})
		}
	}
}

func TestPushOfALostSessionBeginsAnew(t *testing.T) {
	r := registrytest.Start(t, registrytest.Options{})
	var n atomic.Int64
	host, _ := proxy(t, r.Host, func(w http.ResponseWriter, req *http.Request) bool {
		if req.Method == http.MethodPut && strings.Contains(req.URL.Path, "/uploads/") && n.Add(1) == 1 {
			w.Header().Set("Content-Type", "application/json")
			w.WriteHeader(http.StatusNotFound)
			_, _ = w.Write([]byte(`{"errors":[{"code":"BLOB_UPLOAD_UNKNOWN"}]}`))
			return true
		}
		return false
	})
	newModel(t, 9).push(t, target(t, client(t), host+"/m:v1"))
}

func TestPushWithPassword(t *testing.T) {
	for name, c := range map[string]struct {
		opts registrytest.Options
		want string
	}{
		"basic": {registrytest.Options{Basic: true}, "no credentials are stored for it"},
		"token": {registrytest.Options{Token: true}, "no credentials are stored for it"},
	} {
		t.Run(name, func(t *testing.T) {
			r := registrytest.Start(t, c.opts)
			m := newModel(t, 9)
			realm := func(o *registry.Options) {
				if r.Tokens != nil {
					o.TrustedRealms = []string{r.Tokens.Host()}
				}
			}
			_, err := target(t, client(t), r.Host+"/m").PushBlob(t.Context(), describe(m.config), bytes.NewReader(m.config), nil)
			if !errors.Is(err, source.ErrAuth) || !strings.Contains(err.Error(), c.want) {
				t.Errorf("anonymous push = %v, want source.ErrAuth that says %q", err, c.want)
			}
			wrong := client(t, realm, func(o *registry.Options) { o.Credentials = secret(r.Host, "guess") })
			_, err = target(t, wrong, r.Host+"/m").HasBlob(t.Context(), describe(m.config))
			if !errors.Is(err, source.ErrAuth) || !strings.Contains(err.Error(), "credentials were sent") {
				t.Errorf("push with a wrong password = %v, want source.ErrAuth that says they were sent", err)
			}
			m.push(t, target(t, client(t, as(r.Host), realm), r.Host+"/m"))
		})
	}
}

func TestReadOnlyRegistry(t *testing.T) {
	host := registrytest.Start(t, registrytest.Options{ReadOnly: true}).Host
	_, err := target(t, client(t), host+"/m").PushBlob(t.Context(), describe([]byte("x")), strings.NewReader("x"), nil)
	var status *transfer.StatusError
	if !errors.As(err, &status) || status.Status != http.StatusMethodNotAllowed {
		t.Errorf("push to a read-only registry = %v, want its 405", err)
	}
}

func TestPushRefuses(t *testing.T) {
	host := registrytest.StartCrane(t).Host
	c := client(t)
	m := newModel(t, 9)
	pinned := target(t, c, host+"/m:v1@"+string(digest.FromString("other")))
	if _, err := pinned.PushManifest(t.Context(), ocispec.MediaTypeImageManifest, m.m.Raw); !errors.Is(err, source.ErrDigest) {
		t.Errorf("push to another digest = %v, want source.ErrDigest", err)
	}
	short := describe([]byte("four"))
	if _, err := target(t, c, host+"/m").PushBlob(t.Context(), short, strings.NewReader("3by"), nil); err == nil {
		t.Error("a blob that is shorter than its size was pushed")
	}
	if _, err := target(t, c, host+"/m").PushBlob(t.Context(), short, strings.NewReader("evil"), nil); err == nil {
		t.Error("a blob that is not its digest was pushed")
	}
}
