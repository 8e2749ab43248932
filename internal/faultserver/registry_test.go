package faultserver_test

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/mstore/mstore/internal/faultserver"
)

const repository = "models/tiny"

// model is a registry with one model of one blob.
func model(t *testing.T, faults ...faultserver.Injection) (*faultserver.Server, faultserver.Manifest) {
	t.Helper()
	weights := faultserver.Blob{Path: "/weights.bin", Data: content(), Size: blobSize}
	m, config := faultserver.Image(repository, "v1", weights)
	return serve(t, faultserver.Options{
		Blobs: []faultserver.Blob{weights, config}, Manifests: []faultserver.Manifest{m}, Faults: faults,
	}), m
}

func TestRegistryGives(t *testing.T) {
	s, m := model(t)
	c := client(t, s)
	if g := ask(t, c, s.URL("/v2/")); g.StatusCode != 200 {
		t.Errorf("/v2/: %s", g.Status)
	}
	for _, name := range []string{"v1", m.Digest()} {
		g := ask(t, c, s.URL("/v2/"+repository+"/manifests/"+name))
		if g.StatusCode != 200 || string(g.body) != string(m.Raw) || g.Header.Get("Docker-Content-Digest") != m.Digest() ||
			g.Header.Get("Content-Type") != "application/vnd.oci.image.manifest.v1+json" {
			t.Errorf("manifest %s: %s", name, g.Status)
		}
	}
	blob := "/v2/" + repository + "/blobs/" + content().Digest()
	ask(t, c, s.URL(blob), "Range", rangeOf(7, 99)).want(t, 206, 7, 99)
	if !strings.Contains(string(m.Raw), content().Digest()) || !strings.Contains(string(m.Raw), `"weights.bin"`) {
		t.Errorf("the manifest does not name its blob: %s", m.Raw)
	}
	for _, missing := range []string{
		"/v2/" + repository + "/manifests/v2", "/v2/other/manifests/v1", "/v2/" + repository + "/blobs/sha256:00",
		"/v2/" + repository + "/blobs/uploads/none", "/v2/x",
	} {
		if g := ask(t, c, s.URL(missing)); g.StatusCode != 404 || !strings.Contains(string(g.body), `{"errors":[{"code":`) {
			t.Errorf("%s: %s %s", missing, g.Status, g.body)
		}
	}
}

// manifests are what a client sees of the faults of manifests: the answers to a HEAD and two GETs.
var manifests = map[string]func(m faultserver.Manifest, head, first, second got) bool{
	"15 500 for a manifest": func(_ faultserver.Manifest, head, _, _ got) bool { return head.StatusCode == 500 },
	"16 404 for a manifest": func(_ faultserver.Manifest, head, first, _ got) bool {
		return head.StatusCode == 404 && strings.Contains(string(first.body), "MANIFEST_UNKNOWN")
	},
	"17 401 for a manifest, the token has expired": func(_ faultserver.Manifest, head, _, _ got) bool {
		return head.StatusCode == 401 && head.Header.Get("WWW-Authenticate") != ""
	},
	"30 Docker-Content-Digest of other bytes": func(m faultserver.Manifest, head, first, _ got) bool {
		said := head.Header.Get("Docker-Content-Digest")
		return said == first.Header.Get("Docker-Content-Digest") && said != m.Digest() && len(said) == len(m.Digest()) && string(first.body) == string(m.Raw)
	},
	"30 Docker-Content-Digest of garbage": func(_ faultserver.Manifest, _, first, _ got) bool {
		return first.Response == nil || strings.Contains(first.Header.Get("Docker-Content-Digest"), "../")
	},
	"30 no Docker-Content-Digest": func(m faultserver.Manifest, head, first, _ got) bool {
		return head.Header.Get("Docker-Content-Digest") == "" && string(first.body) == string(m.Raw)
	},
	"30 manifest changes between HEAD and GET": func(m faultserver.Manifest, head, first, second got) bool {
		return head.Header.Get("Docker-Content-Digest") == m.Digest() && digestOf(first) == first.Header.Get("Docker-Content-Digest") &&
			digestOf(first) != m.Digest() && digestOf(first) == digestOf(second)
	},
	"30 manifest changes with every GET": func(m faultserver.Manifest, head, first, second got) bool {
		return head.Header.Get("Docker-Content-Digest") == m.Digest() && digestOf(first) != m.Digest() &&
			digestOf(first) != digestOf(second) && digestOf(second) == second.Header.Get("Docker-Content-Digest")
	},
}

func digestOf(g got) string {
	return faultserver.DigestOf(bytes.NewReader(g.body), int64(len(g.body)))
}

func TestManifests(t *testing.T) {
	for name, want := range manifests {
		t.Run(name, func(t *testing.T) {
			s, m := model(t, faultserver.Injection{Fault: named(t, name)})
			c := client(t, s)
			url := s.URL("/v2/" + repository + "/manifests/v1")
			header := ""
			if g := ask(t, c, s.URL("/v2/")); g.StatusCode == 401 {
				header = "Bearer " + token(t, c, g.Response)
			}
			head := send(t, c, http.MethodHead, url, "", "Authorization", header)
			first, second := ask(t, c, url, "Authorization", header), ask(t, c, url, "Authorization", header)
			if !want(m, head, first, second) {
				t.Errorf("answered %+v\n%+v\n%+v", head, first, second)
			}
		})
	}
}

// send sends a request with a body.
func send(t *testing.T, c *http.Client, method, url, body string, header ...string) got {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	resp, err := c.Do(req)
	if err != nil {
		return got{err: err}
	}
	defer resp.Body.Close()
	all, err := io.ReadAll(resp.Body)
	return got{resp, all, err}
}

const (
	pushed      = "these bytes are pushed"
	uploadsPath = "/v2/" + repository + "/blobs/uploads/"
)

var pushedDigest = faultserver.DigestOf(strings.NewReader(pushed), int64(len(pushed)))

func TestPush(t *testing.T) {
	s, _ := model(t)
	c := client(t, s)
	started := send(t, c, http.MethodPost, s.URL(uploadsPath), "")
	session := started.Header.Get("Location")
	if started.StatusCode != 202 || !strings.HasPrefix(session, s.URL(uploadsPath)) {
		t.Fatalf("POST: %s to %s", started.Status, session)
	}
	if g := send(t, c, http.MethodPatch, session, pushed[:5], "Content-Range", "0-4"); g.StatusCode != 202 || g.Header.Get("Range") != "0-4" {
		t.Errorf("PATCH: %s, %q", g.Status, g.Header.Get("Range"))
	}
	if g := send(t, c, http.MethodPatch, session, pushed[9:], "Content-Range", "9-21"); g.StatusCode != 416 || g.Header.Get("Range") != "0-4" {
		t.Errorf("PATCH with a gap: %s, %q", g.Status, g.Header.Get("Range"))
	}
	if g := send(t, c, http.MethodGet, session, ""); g.StatusCode != 204 || g.Header.Get("Range") != "0-4" {
		t.Errorf("GET: %s, %q", g.Status, g.Header.Get("Range"))
	}
	raw := fmt.Sprintf(`{"config":{"digest":%q},"layers":[]}`, pushedDigest)
	manifest := s.URL("/v2/" + repository + "/manifests/new")
	if g := send(t, c, http.MethodPut, manifest, raw, "Content-Type", "x/y"); g.StatusCode != 400 {
		t.Errorf("a manifest without its blob: %s", g.Status)
	}
	if g := send(t, c, http.MethodPut, session+"?digest="+pushedDigest, pushed[5:]); g.StatusCode != 201 || g.Header.Get("Docker-Content-Digest") != pushedDigest {
		t.Errorf("PUT: %s", g.Status)
	}
	if g := ask(t, c, s.URL("/v2/"+repository+"/blobs/"+pushedDigest)); string(g.body) != pushed {
		t.Errorf("the blob is %q", g.body)
	}
	if b, ok := s.Pushed(pushedDigest); !ok || b.Size != int64(len(pushed)) {
		t.Errorf("Pushed = %+v, %v", b, ok)
	}
	if g := send(t, c, http.MethodPut, manifest, raw, "Content-Type", "x/y"); g.StatusCode != 201 {
		t.Errorf("PUT of the manifest: %s", g.Status)
	}
	if g := ask(t, c, manifest); string(g.body) != raw || g.Header.Get("Content-Type") != "x/y" {
		t.Errorf("the manifest is %s", g.body)
	}
	if g := send(t, c, http.MethodPost, s.URL(uploadsPath)+"?from=a/b&mount="+pushedDigest, ""); g.StatusCode != 201 {
		t.Errorf("mount: %s", g.Status)
	}
	if g := send(t, c, http.MethodPost, s.URL(uploadsPath)+"?from=a/b&mount=sha256:00", ""); g.StatusCode != 202 {
		t.Errorf("mount of nothing: %s", g.Status)
	}
	if g := send(t, c, http.MethodPost, s.URL(uploadsPath)+"?digest="+pushedDigest, pushed); g.StatusCode != 201 {
		t.Errorf("POST of all: %s", g.Status)
	}
	var received int64
	for _, r := range s.Requests() {
		received += r.Received
	}
	if want := int64(3*len(pushed) - 9 + 2*len(raw) - 5 + 5); received < want-len64(pushed) || received > want+len64(pushed) {
		t.Errorf("%d bytes were received, want about %d", received, want)
	}
}

func len64(s string) int64 { return int64(len(s)) }

func TestPushOfWrongBytes(t *testing.T) {
	s, _ := model(t)
	c := client(t, s)
	session := send(t, c, http.MethodPost, s.URL(uploadsPath), "").Header.Get("Location")
	if g := send(t, c, http.MethodPut, session+"?digest="+pushedDigest, "other"); g.StatusCode != 400 {
		t.Errorf("%s, want 400", g.Status)
	}
	if _, ok := s.Pushed(pushedDigest); ok {
		t.Error("wrong bytes became a blob")
	}
	if g := send(t, c, http.MethodDelete, session, ""); g.StatusCode != 204 {
		t.Errorf("DELETE: %s", g.Status)
	}
	if g := send(t, c, http.MethodPatch, session, "x"); g.StatusCode != 404 {
		t.Errorf("PATCH after DELETE: %s", g.Status)
	}
	body := struct{ io.Reader }{strings.NewReader(pushed)}
	req, _ := http.NewRequestWithContext(t.Context(), http.MethodPost, s.URL(uploadsPath)+"?digest="+pushedDigest, body)
	req.Header.Set("Expect", "100-continue")
	c.Transport.(*http.Transport).ExpectContinueTimeout = time.Minute
	resp, err := c.Do(req)
	if err != nil || resp.StatusCode != 201 {
		t.Fatalf("chunked, and asked for: %v", err)
	}
	resp.Body.Close()
}

// push is what a simple client is answered: POST with mount, PATCH of 4 bytes, PUT of the rest, HEAD.
type push struct{ post, patch, put, head got }

// uploads are the faults of pushes, as that client sees them.
var uploads = map[string]func(s *faultserver.Server, p push) bool{
	"35 Location of another host": func(s *faultserver.Server, p push) bool {
		return strings.HasPrefix(p.post.Header.Get("Location"), "http://"+s.SecondHost()+"/")
	},
	"35 Location that is relative": func(_ *faultserver.Server, p push) bool {
		return strings.HasPrefix(p.post.Header.Get("Location"), uploadsPath) && p.head.StatusCode == 200
	},
	"35 Location with a query": func(_ *faultserver.Server, p push) bool {
		return strings.HasSuffix(p.post.Header.Get("Location"), "?_state=a%2Bb%3D%3D") && p.head.StatusCode == 200
	},
	"35 no Location": func(_ *faultserver.Server, p push) bool {
		return p.post.StatusCode == 202 && p.post.Header.Get("Location") == ""
	},
	"35 PATCH answered 416": func(_ *faultserver.Server, p push) bool {
		return p.patch.StatusCode == 416 && p.patch.Header.Get("Range") == "0-1"
	},
	"35 PATCH answered 500":      func(_ *faultserver.Server, p push) bool { return p.patch.StatusCode == 500 },
	"35 PATCH that is not known": func(_ *faultserver.Server, p push) bool { return p.patch.StatusCode == 405 },
	"35 session lost": func(_ *faultserver.Server, p push) bool {
		return p.patch.StatusCode == 404 && strings.Contains(string(p.patch.body), "BLOB_UPLOAD_UNKNOWN") && p.put.StatusCode == 404
	},
	"35 PUT answered 201, and the blob is not there": func(_ *faultserver.Server, p push) bool {
		return p.put.StatusCode == 201 && p.put.Header.Get("Docker-Content-Digest") == pushedDigest && p.head.StatusCode == 404
	},
	"35 PUT answered 500": func(_ *faultserver.Server, p push) bool { return p.put.StatusCode == 500 && p.head.StatusCode == 404 },
	"35 PUT answered with another digest": func(_ *faultserver.Server, p push) bool {
		return p.put.StatusCode == 201 && p.put.Header.Get("Docker-Content-Digest") != pushedDigest
	},
	"35 413": func(_ *faultserver.Server, p push) bool { return p.patch.StatusCode == 413 && p.put.StatusCode == 413 },
	"35 mount not done": func(_ *faultserver.Server, p push) bool {
		return p.post.StatusCode == 202 && p.head.StatusCode == 200
	},
	"35 mount of another digest": func(_ *faultserver.Server, p push) bool {
		return p.post.Header.Get("Docker-Content-Digest") != pushedDigest
	},
	"35 RST in the body":        func(_ *faultserver.Server, p push) bool { return p.patch.Response == nil },
	"35 silence after the body": func(_ *faultserver.Server, p push) bool { return p.patch.Response == nil },
}

func TestUploads(t *testing.T) {
	for name, want := range uploads {
		t.Run(name, func(t *testing.T) {
			f := named(t, name)
			s, _ := model(t, faultserver.Injection{Fault: f})
			c := client(t, s)
			if f.Slow {
				c.Timeout = 100 * time.Millisecond
			}
			var query string
			if strings.Contains(name, "mount") {
				query = "?from=a&mount=" + content().Digest()
			}
			var p push
			p.post = send(t, c, http.MethodPost, s.URL(uploadsPath)+query, "")
			if location, err := p.post.Location(); err == nil {
				p.patch = send(t, c, http.MethodPatch, location.String(), pushed[:4])
				rest := pushed[4:]
				if p.patch.Response == nil || p.patch.StatusCode != 202 {
					rest = pushed
				}
				q := location.Query()
				q.Set("digest", pushedDigest)
				location.RawQuery = q.Encode()
				p.put = send(t, c, http.MethodPut, location.String(), rest)
			}
			p.head = send(t, c, http.MethodHead, s.URL("/v2/"+repository+"/blobs/"+pushedDigest), "")
			if !want(s, p) {
				t.Errorf("answered\n%+v\n%+v\n%+v\n%+v", p.post, p.patch, p.put, p.head)
			}
		})
	}
}
