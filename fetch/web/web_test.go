package web_test

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/opencontainers/go-digest"

	"github.com/mstore/mstore/fetch/guard"
	"github.com/mstore/mstore/fetch/source"
	"github.com/mstore/mstore/fetch/sourcetest"
	"github.com/mstore/mstore/fetch/transfer"
	"github.com/mstore/mstore/fetch/web"
)

// large is more than the buffers between a server and a client on loopback hold: a body can be left in its middle.
const large = sourcetest.MinLarge

// TestConformance: see package sourcetest. A file whose digest the server says, and one of which nobody knows it.
func TestConformance(t *testing.T) {
	for name, header := range map[string]func(content string) map[string]string{
		"digest": func(c string) map[string]string {
			return map[string]string{"ETag": `"` + hexOf(c)[:8] + `"`, "Repr-Digest": "sha-256=:" + base64Of(c) + ":"}
		},
		"entity tag": func(c string) map[string]string { return map[string]string{"ETag": `"` + hexOf(c)[:8] + `"`} },
		"last modified": func(c string) map[string]string {
			return map[string]string{"Last-Modified": map[bool]string{true: longAgo, false: "Mon, 02 Jan 2006 15:04:05 GMT"}[strings.Contains(c, "+")]}
		},
	} {
		t.Run(name, func(t *testing.T) {
			sourcetest.Run(t, func(t *testing.T) sourcetest.World {
				was, is := noise(large, "+"), noise(large+100, "-")
				s := &site{files: map[string]page{"/dir/model.gguf": {content: was, header: header(was)}}}
				front := sourcetest.NewFront(t, s, func(r *http.Request) bool {
					return r.Method == http.MethodGet && r.URL.Path == "/dir/model.gguf"
				})
				return sourcetest.World{
					Source:    web.New(web.Options{}),
					Ref:       strings.Replace(front.URL, "://", "://me:password@", 1) + "/dir/model.gguf",
					Rest:      func(reference string) string { return reference },
					Files:     map[string][]byte{"model.gguf": []byte(was)},
					Missing:   []string{front.URL + "/dir/other", front.URL + "/model.gguf?a=secret"},
					Malformed: []string{"model.gguf", "ftp://host/x", "https:///x", "https://me:password@ho st/x", front.URL + "/x#sha256=0"},
					Change: func(*testing.T) map[string][]byte {
						s.set("/dir/model.gguf", page{content: is, header: header(is)})
						return map[string][]byte{"model.gguf": []byte(is)}
					},
					Faults: map[string]sourcetest.Fault{
						"a web page":   {Make: front.Answers(sourcetest.WebPage), Want: source.ErrProtocol},
						"login":        {Make: front.Answers(sourcetest.Status(http.StatusUnauthorized)), Want: source.ErrAuth},
						"gone":         {Make: front.Answers(sourcetest.Status(http.StatusGone)), Want: source.ErrNotFound},
						"out of order": {Make: front.Answers(sourcetest.Status(http.StatusBadGateway))},
					},
					Hang: front.Hang, Blobs: front.Blobs,
					Secrets: []string{"password", "secret"},
				}
			})
		})
	}
}

// TestResolve: what is asked, and what is made of it.
func TestResolve(t *testing.T) {
	const content = "the weights of a model, more than a pointer of LFS has: "
	long := strings.Repeat(content, 30)
	s := newSite(t, map[string]page{
		"/a/tagged.bin": tagged(long, `"v1"`),
		"/a/weak.bin":   {content: long, header: map[string]string{"ETag": `W/"v1"`, "Last-Modified": longAgo}},
		"/a/none.bin":   {content: long},
		"/a/young.bin":  {content: long, header: map[string]string{"Last-Modified": "Mon, 02 Jan 2106 15:04:05 GMT"}},
		"/a/nohead.bin": {content: long, header: map[string]string{"ETag": `"v1"`}, noHead: http.StatusMethodNotAllowed},
		"/a/signed.bin": {content: long, header: map[string]string{"ETag": `"v1"`}, noHead: http.StatusForbidden},
		"/a/empty.bin":  {header: map[string]string{"ETag": `"v1"`}},
		"/a/zero.bin": {header: map[string]string{"ETag": `"v1"`}, handler: func(w http.ResponseWriter, r *http.Request) {
			if r.Method == http.MethodHead {
				return // as some programs answer it: as the length of nothing
			}
			w.Header().Set("Content-Range", "bytes 0-0/5")
			w.WriteHeader(http.StatusPartialContent)
			_, _ = w.Write([]byte("x"))
		}},
	})
	size := int64(len(long))
	for path, want := range map[string]struct {
		size      int64
		validator string
		asked     []string
	}{
		"/a/tagged.bin": {size, `"v1"`, []string{"HEAD /a/tagged.bin"}},
		"/a/weak.bin":   {size, longAgo, []string{"HEAD /a/weak.bin"}},
		"/a/none.bin":   {-1, "", []string{"HEAD /a/none.bin"}},
		"/a/young.bin":  {-1, "", []string{"HEAD /a/young.bin"}},
		"/a/nohead.bin": {size, `"v1"`, []string{"HEAD /a/nohead.bin", "GET /a/nohead.bin Range: bytes=0-0"}},
		"/a/signed.bin": {size, `"v1"`, []string{"HEAD /a/signed.bin", "GET /a/signed.bin Range: bytes=0-0"}},
		"/a/empty.bin":  {0, `"v1"`, []string{"HEAD /a/empty.bin", "GET /a/empty.bin Range: bytes=0-0"}},
		"/a/zero.bin":   {5, `"v1"`, []string{"HEAD /a/zero.bin", "GET /a/zero.bin Range: bytes=0-0"}},
	} {
		m := mustResolve(t, s.URL+path, source.Options{})
		asked := append(want.asked, "GET "+path+".sha256", "GET "+path+".sha256sum")
		if diff := cmp.Diff(asked, s.requests()); diff != "" {
			t.Errorf("%s: requests (-want +got):\n%s", path, diff)
		}
		f := m.Files[0]
		if f.Descriptor.Size != want.size || f.Descriptor.Digest != "" || m.Validator != want.validator || (f.Name == "") != (want.validator == "") {
			t.Errorf("%s: %+v, %q; want %+v", path, f, m.Validator, want)
		}
		if m.Name != s.Host+path+":latest" || m.Reference != s.URL+path || !m.PlainHTTP || m.Manifest != nil || m.Digest != "" {
			t.Errorf("%s: %+v", path, m)
		}
		if path == "/a/zero.bin" {
			continue
		}
		content := long[:max(want.size, 0)]
		if want.size < 0 {
			content = long
		}
		if got, err := read(t, f.Origins[0], 0, -1); err != nil || got != content {
			t.Errorf("%s: %d bytes, %v", path, len(got), err)
		}
		s.requests()
	}
}

// TestUnchanged: one request, and the same answer where the validator is the same.
func TestUnchanged(t *testing.T) {
	s := newSite(t, map[string]page{"/tag": tagged(noise(2000, "a"), `"v1"`), "/date": {content: "x", header: map[string]string{"Last-Modified": longAgo}}})
	have := source.Options{Have: digest.FromString("manifest")}
	for _, c := range []struct {
		path, validator string
		want            bool
		asked           string
	}{
		{"/tag", `"v1"`, true, `HEAD /tag If-None-Match: "v1"`},
		{"/tag", `"v0"`, false, `HEAD /tag If-None-Match: "v0"`},
		{"/tag", "", false, "HEAD /tag"},
		{"/date", longAgo, true, "HEAD /date"},
		{"/date", "Mon, 02 Jan 2106 15:04:05 GMT", false, "HEAD /date"}, // an older file has come in the place of a newer
	} {
		opts := have
		opts.HaveValidator = c.validator
		m := mustResolve(t, s.URL+c.path, opts)
		asked := s.requests()
		if m.Unchanged != c.want || asked[0] != c.asked || m.Unchanged && (len(asked) != 1 || m.Files != nil || m.Validator != c.validator) {
			t.Errorf("%s since %q: %+v after %q", c.path, c.validator, m, asked)
		}
	}
	opts := have
	opts.HaveValidator, opts.Digest = `"v1"`, digest.FromString("other")
	if m := mustResolve(t, s.URL+"/tag", opts); m.Unchanged || m.Files[0].Descriptor.Digest != opts.Digest {
		t.Errorf("a digest that the caller says is not compared: %+v", m)
	}
}

// TestChangedMidway: without a digest no answer of another state is taken, whole or in part, and none that does not say.
func TestChangedMidway(t *testing.T) {
	long, other := noise(10_000, "a"), noise(10_000, "b")
	for name, c := range map[string]struct {
		now  page
		want error
	}{
		"another tag": {tagged(other, `"v2"`), transfer.ErrChanged},
		"no tag":      {page{content: other}, transfer.ErrChanged},
		"longer":      {tagged(long+"x", `"v1"`), transfer.ErrChanged},
		"a part of what": {page{handler: func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Range", "bytes 100-199/10000")
			w.WriteHeader(http.StatusPartialContent)
			_, _ = w.Write([]byte(other[100:200]))
		}}, transfer.ErrRange},
		"a part of another": {page{handler: func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Range", "bytes 100-199/10000")
			w.Header().Set("ETag", `"v2"`)
			w.WriteHeader(http.StatusPartialContent)
			_, _ = w.Write([]byte(other[100:200]))
		}}, transfer.ErrChanged},
	} {
		t.Run(name, func(t *testing.T) {
			s := newSite(t, map[string]page{"/f": tagged(long, `"v1"`)})
			m := mustResolve(t, s.URL+"/f", source.Options{})
			if got, err := read(t, m.Files[0].Origins[0], 100, 100); err != nil || got != long[100:200] {
				t.Fatalf("%d bytes, %v", len(got), err)
			}
			if asked := s.requests(); asked[len(asked)-1] != `GET /f Range: bytes=100-199 If-Range: "v1"` {
				t.Errorf("asked %q", asked)
			}
			s.set("/f", c.now)
			_, err := read(t, m.Files[0].Origins[0], 100, 100)
			if !errors.Is(err, c.want) || transfer.Retryable(err) != errors.Is(c.want, transfer.ErrRange) {
				t.Errorf("%v, want %v", err, c.want)
			}
			if name == "a part of what" {
				return
			}
			if _, err = read(t, m.Files[0].Origins[0], 0, -1); !errors.Is(err, transfer.ErrChanged) {
				t.Errorf("the whole: %v, want transfer.ErrChanged", err)
			}
		})
	}
}

// TestDigestIsAllThatCounts: with one, another tag is no reason to stop.
func TestDigestIsAllThatCounts(t *testing.T) {
	long := noise(10_000, "a")
	s := newSite(t, map[string]page{"/f": tagged(long, `"v1"`)})
	m := mustResolve(t, s.URL+"/f", source.Options{Digest: sumOf(long)})
	s.requests()
	s.set("/f", tagged(long, `"v2"`))
	if got, err := read(t, m.Files[0].Origins[0], 5000, 1000); err != nil || got != long[5000:6000] {
		t.Errorf("%d bytes, %v", len(got), err)
	}
	if diff := cmp.Diff([]string{"GET /f Range: bytes=5000-5999"}, s.requests()); diff != "" {
		t.Error(diff)
	}
}

// TestNothingToTellStatesApart: the origin gives the whole, once. A request that fails before is no answer.
func TestNothingToTellStatesApart(t *testing.T) {
	long := noise(10_000, "a")
	s := newSite(t, map[string]page{"/f": {content: long}})
	m := mustResolve(t, s.URL+"/f", source.Options{})
	origin := m.Files[0].Origins[0]
	if _, err := read(t, origin, 10, -1); !errors.Is(err, transfer.ErrChanged) {
		t.Errorf("a part: %v, want transfer.ErrChanged", err)
	}
	s.set("/f", page{handler: sourcetest.Status(http.StatusBadGateway)})
	if _, err := read(t, origin, 0, -1); !transfer.Retryable(err) {
		t.Errorf("502: %v, want what is worth a retry", err)
	}
	s.set("/f", page{content: long})
	if got, err := read(t, origin, 0, -1); err != nil || got != long {
		t.Errorf("%d bytes, %v", len(got), err)
	}
	if _, err := read(t, origin, 0, -1); !errors.Is(err, transfer.ErrChanged) {
		t.Errorf("once more: %v, want transfer.ErrChanged", err)
	}
}

// TestCredentials: those of the URL go to its host, nowhere else, and are not kept.
func TestCredentials(t *testing.T) {
	long := noise(2000, "a")
	var leaked []string
	other := newSite(t, map[string]page{"/f": {handler: func(w http.ResponseWriter, r *http.Request) {
		leaked = append(leaked, r.Header.Get("Authorization")+r.Header.Get("Cookie")+r.Header.Get("Referer"))
		w.Header().Set("ETag", `"v1"`)
		_, _ = w.Write([]byte(long))
	}}})
	s := newSite(t, nil)
	s.files = map[string]page{"/f": {handler: func(w http.ResponseWriter, r *http.Request) {
		if user, password, _ := r.BasicAuth(); user != "me" || password != "p@ss" {
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		http.Redirect(w, r, other.URL+"/f", http.StatusFound)
	}}}
	m := mustResolve(t, "http://me:p%40ss@"+s.Host+"/f", source.Options{})
	for range 2 {
		if got, err := read(t, m.Files[0].Origins[0], 0, -1); err != nil || got != long {
			t.Errorf("%d bytes, %v", len(got), err)
		}
	}
	if m.Reference != s.URL+"/f" || strings.Contains(m.Name+m.Files[0].Name, "ss") {
		t.Errorf("credentials are kept: %+v", m)
	}
	if strings.Join(leaked, "") != "" || len(leaked) == 0 {
		t.Errorf("the other host was sent %q", leaked)
	}
	for ref, says := range map[string]string{s.URL + "/f": "no credentials were sent", "http://me:wrong@" + s.Host + "/f": "were sent"} {
		if _, err := resolve(t, ref, source.Options{}); !errors.Is(err, source.ErrAuth) || !strings.Contains(err.Error(), says) || strings.Contains(err.Error(), "wrong") {
			t.Errorf("%v, want source.ErrAuth that says %q", err, says)
		}
	}
}

// TestRedirects: to TLS they are followed, from it they are not, and neither to what is nearer than the server.
func TestRedirects(t *testing.T) {
	long := noise(2000, "a")
	s := newSite(t, map[string]page{"/f": tagged(long, `"v1"`)})
	secure := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/down" {
			http.Redirect(w, r, s.URL+"/f", http.StatusFound)
			return
		}
		s.ServeHTTP(w, r)
	}))
	t.Cleanup(secure.Close)
	s.set("/up", page{handler: func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, secure.URL+"/f", http.StatusFound) }})
	s.set("/meta", page{handler: func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, "http://169.254.169.254/f", http.StatusFound)
	}})
	c := web.New(web.Options{HTTP: secure.Client()})
	if m, err := c.Resolve(t.Context(), s.URL+"/up", source.Options{}); err != nil || m.Files[0].Path != "up" || m.Files[0].Descriptor.Size != int64(len(long)) {
		t.Errorf("to TLS: %+v, %v", m, err)
	}
	for _, ref := range []string{secure.URL + "/down", s.URL + "/meta"} {
		if _, err := c.Resolve(t.Context(), ref, source.Options{}); !errors.Is(err, guard.ErrRedirect) {
			t.Errorf("%s: %v, want guard.ErrRedirect", ref, err)
		}
	}
	if _, err := c.Resolve(t.Context(), "https://"+s.Host+"/f", source.Options{Transfer: sourcetest.Quick()}); !errors.Is(err, http.ErrSchemeMismatch) {
		t.Errorf("https of a server without: %v", err)
	}
}

// TestTraps: what servers give in place of a file.
func TestTraps(t *testing.T) {
	pointer := "version https://git-lfs.github.com/spec/v1\noid sha256:" + strings.Repeat("0", 64) + "\nsize 12345\n"
	html := page{content: "<html>", header: map[string]string{"Content-Type": "text/html; charset=utf-8", "ETag": `"v1"`}}
	s := newSite(t, map[string]page{
		"/org/repo/blob/main/f.gguf": html, "/f.gguf": html, "/index.html": html, "/f": tagged(pointer, `"v1"`),
		"/notes": tagged("A text as small as a pointer, about nothing in particular.", `"v1"`),
	})
	c := web.New(web.Options{HTTP: dialer(s.Host)})
	for ref, says := range map[string]string{
		"http://example.org/f.gguf":                        "is a web page, not a file",
		"http://github.com/org/repo/blob/main/f.gguf":      "/raw/",
		"http://huggingface.co/org/repo/blob/main/f.gguf":  "/resolve/",
		"http://git.example.org/org/repo/blob/main/f.gguf": "elsewhere",
		"http://example.org/f":                             "Git LFS",
	} {
		if _, err := c.Resolve(t.Context(), ref, source.Options{}); !errors.Is(err, source.ErrProtocol) || !strings.Contains(err.Error(), says) {
			t.Errorf("%s: %v, want source.ErrProtocol that says %q", ref, err, says)
		}
	}
	for ref, opts := range map[string]source.Options{
		"http://example.org/index.html": {}, "http://example.org/notes": {},
		"http://example.org/f": {Digest: sumOf(pointer)}, "http://example.org/f#sha256=" + hexOf(pointer): {},
	} {
		if _, err := c.Resolve(t.Context(), ref, opts); err != nil {
			t.Errorf("%s: %v", ref, err)
		}
	}
}
