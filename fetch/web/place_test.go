package web_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/mstore/mstore/fetch/source"
	"github.com/mstore/mstore/fetch/web"
	"github.com/mstore/mstore/manifest/tags"
)

func TestNameOf(t *testing.T) {
	for ref, want := range map[string]string{
		"https://Example.ORG/a/Model.gguf":             "example.org/a/Model.gguf:latest",
		"http://example.org:8080/m.bin?x=1#y":          "example.org:8080/m.bin:latest",
		"https://u:p@example.org/m":                    "example.org/m:latest",
		"https://[::1]:80/m":                           "[::1]:80/m:latest",
		"https://h/a:b@c/d+e%20f%3a":                   "",
		"https://h/a:b@c/d+e%20f":                      "h/a%3ab%40c/d%2be%20f:latest",
		"https://h//a//b":                              "h/a/b:latest",
		"https://h/%D0%BC%D0%BE%D0%B4%D0%B5%D0%BB/m":   "h/модел/m:latest",
		"https://h/\u202ea/m":                          "h/%e2%80%aea/m:latest",
		"https://h/%ff/m":                              "h/%ff/m:latest",
		"https://h/100%25/m":                           "h/100%25/m:latest",
		"https://h/m@sha256:" + strings.Repeat("0", 8): "",
		"https://h/":                                   "",
		"https://h":                                    "",
		"https://h/a/":                                 "",
		"https://h/?f=m":                               "",
		"https://h/..%2f..%2fx":                        "",
		"https://h/%2e%2e%2fx":                         "",
		"https://h/%2e%2e":                             "",
		"https://h/..":                                 "",
		"https://h/a%2fb":                              "",
		"https://h/C:%5Cx":                             "",
		"https://h/a%1b%5b2J":                          "",
		"https://h/a%00":                               "",
		"https://h/CON":                                "",
		"https://h/a%e2%80%ae":                         "",
		"https://h/a%ff":                               "",
		"https://h/" + strings.Repeat("a", 256):        "",
	} {
		got, err := web.NameOf(ref)
		if got != want || (err == nil) != (want != "") || err != nil && !errors.Is(err, source.ErrReference) {
			t.Errorf("NameOf(%q) = %q, %v; want %q", ref, got, err, want)
		}
		if err == nil && tags.CheckName(got) != nil {
			t.Errorf("NameOf(%q) = %q, which is no name", ref, got)
		}
	}
}

// TestMalformed: what is no URL of a file is not asked for, and nothing of it that may be secret is said.
func TestMalformed(t *testing.T) {
	for _, ref := range []string{
		"", "x", "/x", "//h/x", "ftp://h/x", "file:///etc/passwd", "https:h/x", "https://", "https:///x", "https://:80/x",
		"https://me:password@h\x1b/x", "https://me:password@h/\x00", "https://me:password@h:port/x", "https://me:pass word@h/x",
		"https://h /x", "https://h\\x/y", "https://h%00/x", "https://h\u202e/x", "https://" + strings.Repeat("h", 20<<10) + "/x", "https://h/%zz",
	} {
		_, err := resolve(t, ref, source.Options{})
		if !errors.Is(err, source.ErrReference) {
			t.Errorf("Resolve(%.50q) = %v, want source.ErrReference", ref, err)
		} else if s := err.Error(); strings.Contains(s, "pass") || strings.ContainsAny(s, "\x00\x1b\u202e") || len(s) > 1000 {
			t.Errorf("Resolve(%.50q): the error is not fit to print: %.200q", ref, s)
		}
	}
}

// TestFileNames: what the path does not name, the server may, by the same rules.
func TestFileNames(t *testing.T) {
	disposition := func(s string) page {
		return page{content: noise(2000, "a"), header: map[string]string{"Content-Disposition": s, "ETag": `"v1"`}}
	}
	for name, c := range map[string]struct{ path, says, want, as string }{
		"the path":              {"/a/m.gguf", `attachment; filename="x"`, "m.gguf", "/a/m.gguf"},
		"its escapes":           {"/my%20m%C3%A9.gguf", "", "my mé.gguf", "/my%20mé.gguf"},
		"the server":            {"/get/", `attachment; filename="m.gguf"`, "m.gguf", "/get/m.gguf"},
		"the server, at a root": {"", `attachment; filename=m.gguf`, "m.gguf", "/m.gguf"},
		"the server, of many":   {"/?id=1", `attachment; filename="x"; filename*=UTF-8''m%C3%A9.gguf`, "mé.gguf", "/mé.gguf"},
		"neither":               {"/get/", "", "", ""},
		"above":                 {"/get/", `attachment; filename="../../x"`, "", ""},
		"above, escaped":        {"/get/", `attachment; filename*=UTF-8''%2e%2e%2fx`, "", ""},
		"below":                 {"/get/", `attachment; filename="a/x"`, "", ""},
		"a drive":               {"/get/", `attachment; filename="C:\\x"`, "", ""},
		"escapes":               {"/get/", `attachment; filename*=UTF-8''a%1b%5b2J`, "", ""},
		"a device":              {"/get/", `attachment; filename=NUL`, "", ""},
		"empty":                 {"/get/", `attachment; filename=""`, "", ""},
		"no disposition":        {"/get/", `;;=`, "", ""},
		"a hostile path":        {"/a/%2e%2e%2fx", `attachment; filename=m`, "m", "/a/%2e%2e%2fx/m"},
		"a hostile path alone":  {"/a/..%5cx", "", "", ""},
	} {
		t.Run(name, func(t *testing.T) {
			s := newSite(t, map[string]page{})
			for _, at := range []string{"/a/m.gguf", "/my mé.gguf", "/get/", "/", "/a/../x", "/a/..\\x", ""} {
				s.set(at, disposition(c.says))
			}
			m, err := resolve(t, s.URL+c.path, source.Options{})
			switch {
			case c.want == "" && !errors.Is(err, source.ErrReference):
				t.Errorf("%+v, %v; want source.ErrReference", m, err)
			case c.want == "" && strings.ContainsAny(err.Error(), "\x1b"):
				t.Errorf("the error is not fit to print: %q", err)
			case c.want != "" && err != nil:
				t.Error(err)
			case c.want != "" && (m.Files[0].Path != c.want || m.Name != strings.ReplaceAll(s.Host+c.as+":latest", "%2e%2e%2f", "..%2f")):
				t.Errorf("file %q of %q; want %q of %q", m.Files[0].Path, m.Name, c.want, c.as)
			}
		})
	}
}

// TestUnchangedOfANamelessPath: a name that only a whole answer says is asked for with one.
func TestUnchangedOfANamelessPath(t *testing.T) {
	s := newSite(t, map[string]page{"/": {content: noise(2000, "a"), header: map[string]string{"ETag": `"v1"`, "Content-Disposition": "attachment; filename=m"}}})
	m := mustResolve(t, s.URL, source.Options{Have: sumOf("manifest"), HaveValidator: `"v1"`})
	if !m.Unchanged || m.Name != s.Host+"/m:latest" {
		t.Errorf("%+v", m)
	}
}
