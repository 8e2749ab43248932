package web_test

import (
	"errors"
	"net/http"
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"

	"github.com/mstore/mstore/fetch/source"
)

// TestDigests: where one is found, and which goes before which.
func TestDigests(t *testing.T) {
	long := noise(5000, "a")
	sum, b64, zero := hexOf(long), base64Of(long), strings.Repeat("0", 64)
	for name, c := range map[string]struct {
		header   map[string]string
		beside   map[string]string // by what stands behind the file's name
		fragment string
		digest   digest.Digest
		want     bool
	}{
		"none":                        {},
		"the caller's":                {digest: sumOf(long), want: true, header: map[string]string{"X-Linked-Etag": zero}},
		"the URL's":                   {fragment: "#sha256=" + sum, want: true, header: map[string]string{"X-Linked-Etag": zero}},
		"the URL's, upper case":       {fragment: "#egg=x&SHA256=" + strings.ToUpper(sum), want: true},
		"both":                        {fragment: "#sha256=" + sum, digest: sumOf(long), want: true},
		"a fragment":                  {fragment: "#about"},
		"Repr-Digest":                 {header: map[string]string{"Repr-Digest": "sha-512=:AAAA:, sha-256=:" + b64 + ":", "X-Linked-Etag": zero}, want: true},
		"Repr-Digest with parameters": {header: map[string]string{"Repr-Digest": "sha-256=:" + b64 + ":;q=1"}, want: true},
		"Digest":                      {header: map[string]string{"Digest": "md5=x,SHA-256=" + b64}, want: true},
		"Content-Digest":              {header: map[string]string{"Content-Digest": "sha-256=:" + b64 + ":"}, want: true},
		"malformed":                   {header: map[string]string{"Repr-Digest": "sha-256=:AAAA:", "Digest": "sha-256=!", "Content-Digest": "sha-256"}},
		"X-Linked-Etag":               {header: map[string]string{"X-Linked-Etag": `"` + sum + `"`}, want: true},
		"X-Linked-Etag of git":        {header: map[string]string{"X-Linked-Etag": `"` + sum[:40] + `"`}},
		"of a compressed body":        {header: map[string]string{"Repr-Digest": "sha-256=:" + b64 + ":", "Content-Encoding": "gzip"}},
		"a tag that looks like one":   {header: map[string]string{"ETag": `"` + sum + `"`}},
		"beside":                      {beside: map[string]string{".sha256": sum}, want: true},
		"beside, with a line":         {beside: map[string]string{".sha256": "\ufeff" + sum + "\r\n"}, want: true},
		"beside, by sha256sum":        {beside: map[string]string{".sha256sum": zero + "  other\n" + sum + "  model.bin\n"}, want: true},
		"beside, in binary":           {beside: map[string]string{".sha256": sum + " *./dist/model.bin\n"}, want: true},
		"beside, by BSD":              {beside: map[string]string{".sha256": "SHA256 (model.bin) = " + sum + "\n"}, want: true},
		"beside, with tabs":           {beside: map[string]string{".sha256": sum + "\tmodel.bin\n"}, want: true},
		"beside, of others":           {beside: map[string]string{".sha256": sum + "  other.bin\nSHA256 (x) = " + sum}},
		"beside, of nobody":           {beside: map[string]string{".sha256": sum + "\n" + sum}},
		"beside, the second":          {beside: map[string]string{".sha256": "?", ".sha256sum": sum}, want: true},
		"beside, too long":            {beside: map[string]string{".sha256": sum + "  model.bin" + strings.Repeat("\n", 64<<10)}},
		"beside, short":               {beside: map[string]string{".sha256": sum[:63]}},
		"the header before beside":    {header: map[string]string{"Digest": "sha-256=" + b64}, beside: map[string]string{".sha256": zero}, want: true},
	} {
		t.Run(name, func(t *testing.T) {
			files := map[string]page{"/model.bin": {content: long, header: c.header}}
			for ext, list := range c.beside {
				files["/model.bin"+ext] = page{content: list, header: map[string]string{"Content-Type": "text/plain"}}
			}
			s := newSite(t, files)
			m := mustResolve(t, s.URL+"/model.bin"+c.fragment, source.Options{Digest: c.digest})
			want := digest.Digest("")
			if c.want {
				want = sumOf(long)
			}
			if got := m.Files[0].Descriptor.Digest; got != want {
				t.Errorf("digest %q, want %q", got, want)
			}
			if strings.Contains(m.Reference, "#") {
				t.Errorf("reference %s", m.Reference)
			}
			for _, line := range s.requests() {
				if c.want && c.beside == nil && strings.Contains(line, ".sha256") {
					t.Errorf("asked %s, with a digest there", line)
				}
			}
		})
	}
}

// TestDigestOfARedirect: the one who redirects knows what the file is.
func TestDigestOfARedirect(t *testing.T) {
	long := noise(5000, "a")
	s := newSite(t, map[string]page{"/cdn": tagged(long, `"v1"`)})
	s.set("/f", page{handler: func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("X-Linked-Etag", `"`+hexOf(long)+`"`)
		w.Header().Set("Content-Length", "12")
		http.Redirect(w, r, "/cdn", http.StatusFound)
	}})
	m := mustResolve(t, s.URL+"/f", source.Options{})
	if d := m.Files[0].Descriptor; d.Digest != sumOf(long) || d.Size != int64(len(long)) || m.Files[0].Path != "f" {
		t.Errorf("%+v", m.Files[0])
	}
}

// TestPagesBesideAreNoDigests, nor are servers that fail to give one.
func TestPagesBesideAreNoDigests(t *testing.T) {
	long := noise(5000, "a")
	for name, p := range map[string]page{
		"a page":       {content: hexOf(long), header: map[string]string{"Content-Type": "text/html"}},
		"out of order": {content: hexOf(long), handler: func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusBadGateway) }},
		"cut short": {handler: func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", "100")
			_, _ = w.Write([]byte(hexOf(long)))
			panic(http.ErrAbortHandler)
		}},
	} {
		s := newSite(t, map[string]page{"/f": tagged(long, `"v1"`), "/f.sha256": p})
		if m := mustResolve(t, s.URL+"/f", source.Options{}); m.Files[0].Descriptor.Digest != "" {
			t.Errorf("%s is taken for a digest: %+v", name, m.Files[0])
		}
	}
	s := newSite(t, map[string]page{"/f": tagged(long, `"v1"`), "/f.sha256": {content: hexOf(long)}, "/f.sha256.sha256": {content: hexOf(long)}})
	for _, ref := range []string{"/f?signature=1", "/f.sha256"} {
		if m := mustResolve(t, s.URL+ref, source.Options{}); m.Files[0].Descriptor.Digest != "" {
			t.Errorf("%s has something beside it: %+v", ref, m.Files[0])
		}
	}
}

// TestDigestsThatCannotBe: who writes one wants it looked at.
func TestDigestsThatCannotBe(t *testing.T) {
	s := newSite(t, nil)
	for ref, d := range map[string]digest.Digest{
		"/f#sha256=": "", "/f#sha256=xyz": "", "/f#sha256=" + strings.Repeat("0", 65): "", "/f#sha512=" + strings.Repeat("0", 128): "", "/f#md5=0": "",
		"/f": "sha256:0", "/g": digest.SHA512.FromString(""), "/f#sha256=" + strings.Repeat("0", 64): sumOf(""),
	} {
		if _, err := resolve(t, s.URL+ref, source.Options{Digest: d}); !errors.Is(err, source.ErrReference) {
			t.Errorf("%s, %q: %v, want source.ErrReference", ref, d, err)
		}
	}
	if asked := s.requests(); len(asked) > 0 {
		t.Errorf("asked %q", asked)
	}
}
