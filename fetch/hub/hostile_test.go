package hub_test

import (
	"bytes"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/mstore/mstore/fetch/guard"
	"github.com/mstore/mstore/fetch/source"
	"github.com/mstore/mstore/fetch/sourcetest"
	"github.com/mstore/mstore/internal/hubtest"
	"github.com/mstore/mstore/manifest"
)

// replying is a hub whose answers to requests with part in them are a text of JSON.
func replying(t *testing.T, part, text string) *hubtest.Hub {
	t.Helper()
	return hubtest.Start(t, answers(-1, part, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		_, _ = w.Write([]byte(text))
	}), hubtest.Repo{ID: id, Files: named("a.json")})
}

// wantError resolves what must fail, in a way that can be shown.
func wantError(t *testing.T, h *hubtest.Hub, ref string, want error) {
	t.Helper()
	m, err := client(t, h).Resolve(t.Context(), ref, options())
	if !errors.Is(err, want) {
		t.Fatalf("Resolve = %+v, %v; want %v", m, err, want)
	}
	if text := err.Error(); len(text) > 1500 || strings.ContainsAny(text, "\x1b\u202e\n") {
		t.Errorf("the error is not fit to print: %.300q", text)
	}
}

func TestListsThatAreNone(t *testing.T) {
	oid, sum := strings.Repeat("a", 40), strings.Repeat("b", 64)
	file := func(fields string) string { return `[{"type":"file","path":"w",` + fields + `}]` }
	for name, list := range map[string]string{
		"no JSON": "<html>", "an object": `{"error":"\u001b[31m"}`, "cut": `[{"type":"file"`, "numbers": "[1]", "too deep": strings.Repeat("[", 20000),
		"no object id": file(`"size":1`), "an object id of a path": file(`"size":1,"oid":"../../../../../../../../../../../etc/x"`),
		"an object id in upper case": file(`"size":1,"oid":"` + strings.ToUpper(oid) + `"`), "an object id and a line": file(`"size":1,"oid":"` + oid + `\n"`),
		"no sha256": file(`"size":1,"oid":"` + oid + `","lfs":{"size":1}`), "a short sha256": file(`"size":1,"oid":"` + oid + `","lfs":{"size":1,"oid":"aa"}`),
		"a sha256 of a path":     file(`"size":1,"oid":"` + oid + `","lfs":{"size":1,"oid":"../` + sum[3:] + `"}`),
		"a sha256 with its name": file(`"size":1,"oid":"` + oid + `","lfs":{"size":1,"oid":"sha256:` + sum[7:] + `"}`),
		"two sizes":              file(`"size":1,"oid":"` + oid + `","lfs":{"size":2,"oid":"` + sum + `"}`),
		"a negative size":        file(`"size":-1,"oid":"` + oid + `"`), "an endless size": file(`"size":1e300,"oid":"` + oid + `"`),
		"a path twice": `[{"type":"file","path":"w","size":1,"oid":"` + oid + `"},{"type":"file","path":"w","size":2,"oid":"` + oid + `"}]`,
		"too long":     "[]" + strings.Repeat(" ", 17<<20),
	} {
		t.Run(name, func(t *testing.T) { wantError(t, replying(t, "/tree/", list), id, source.ErrProtocol) })
	}
	t.Run("no files", func(t *testing.T) { wantError(t, replying(t, "/tree/", "[]"), id, source.ErrNotFound) })
}

func TestCommitsThatAreNone(t *testing.T) {
	for name, c := range map[string]struct {
		sha  string
		want error
	}{
		"none": {"", source.ErrProtocol}, "a branch": {"main", source.ErrProtocol}, "a path": {"../../../../../../../../../../../../x/..", source.ErrProtocol},
		"upper case": {strings.Repeat("A", 40), source.ErrProtocol}, "another": {strings.Repeat("b", 40), source.ErrDigest},
	} {
		t.Run(name, func(t *testing.T) {
			wantError(t, replying(t, "/revision/", `{"sha":"`+c.sha+`"}`), id+"@"+strings.Repeat("a", 40), c.want)
		})
	}
}

// TestHostileNames (V14): a name that leads anywhere, or clashes, ends the resolve, unless the file is not taken.
func TestHostileNames(t *testing.T) {
	for _, names := range [][]string{
		{"../x"},
		{"a/../../x"},
		{"/etc/passwd"},
		{`..\x`},
		{`C:\x`},
		{"C:/x"},
		{`\\host\share`},
		{"con"},
		{"aux.txt"},
		{"a:b"},
		{"a."},
		{"a "},
		{"a\x00b"},
		{"a\nb"},
		{"a\u202eb"},
		{"\x1b[31m"},
		{strings.Repeat("x", 300)},
		{""},
		{"a//b"},
		{"./a"},
		{"a/"},
		{".mstore-x"},
		{"A", "a"},
		{"gr\u00f6sse", "gro\u0308sse"},
		{"a", "a/b"},
	} {
		t.Run(fmt.Sprintf("%.20q", names), func(t *testing.T) {
			files := []hubtest.File{hubtest.Text("good.json", "{}")}
			for _, n := range names {
				files = append(files, hubtest.Text(n, "x"))
			}
			h := hubtest.Start(t, hubtest.Options{}, hubtest.Repo{ID: id, Files: files})
			want := manifest.ErrUnsafePath
			if len(names) > 1 {
				want = manifest.ErrMalformed
			}
			wantError(t, h, id, want)
			wantPaths(t, resolve(t, client(t, h), id, including("good.json")), "good.json")
		})
	}
}

// TestPagesThatGoElsewhere (V9): the next page is the hub's own, and there are not endlessly many.
func TestPagesThatGoElsewhere(t *testing.T) {
	evil := hubtest.Start(t, hubtest.Options{})
	for name, link := range map[string]string{
		"another port": evil.Endpoint + "/api/models/org/model/tree/x", "another name": "http://localhost:SELF/x", "a metadata service": "http://169.254.169.254/x",
		"another scheme": "https://HOST/x", "a file": "file:///etc/passwd", "a user": "http://me:pw@HOST/x", "no host": "http:///x", "no URL": "http://[/",
		"another host": "//evil.example/x", "data": "data:application/json,[]",
	} {
		t.Run(name, func(t *testing.T) {
			h := hubtest.Start(t, hubtest.Options{Token: secret, Before: func(w http.ResponseWriter, r *http.Request) bool {
				_, port, _ := strings.Cut(r.Host, ":")
				target := strings.NewReplacer("HOST", r.Host, "SELF", port).Replace(link)
				if strings.Contains(r.URL.Path, "/tree/") {
					w.Header().Set("Link", "<"+target+`>; rel="next"`)
				}
				return false
			}}, hubtest.Repo{ID: id, Files: named("a.json")})
			wantError(t, h, id, source.ErrProtocol)
		})
	}
	if all := evil.Requests(); len(all) != 0 {
		t.Errorf("the other server was asked %+v", all)
	}
}

func TestListsWithoutEnd(t *testing.T) {
	for name, next := range map[string]func(n int) string{
		"a page that follows itself": func(int) string { return "?recursive=true&expand=false" },
		"two pages in a circle":      func(n int) string { return fmt.Sprintf("?page=%d", n%2) },
		"always another page":        func(n int) string { return fmt.Sprintf("?page=%d", n) },
		"another fragment each time": func(n int) string { return fmt.Sprintf("?#%d", n) },
	} {
		t.Run(name, func(t *testing.T) {
			var n int
			h := hubtest.Start(t, hubtest.Options{Before: func(w http.ResponseWriter, r *http.Request) bool {
				if !strings.Contains(r.URL.Path, "/tree/") {
					return false
				}
				n++
				w.Header().Set("Link", "<"+next(n)+`>; rel="next"`)
				_, _ = w.Write([]byte("[]"))
				return true
			}}, hubtest.Repo{ID: id, Files: named("a.json")})
			wantError(t, h, id, source.ErrProtocol)
			if n > 101 {
				t.Errorf("%d pages were asked for", n)
			}
		})
	}
}

// TestTooManyFiles are refused before they fill the memory.
func TestTooManyFiles(t *testing.T) {
	var page bytes.Buffer
	for i := range 60_000 {
		fmt.Fprintf(&page, `,{"type":"file","path":"%d","size":0,"oid":"%040d"}`, i, i)
	}
	var n int
	h := hubtest.Start(t, hubtest.Options{Before: func(w http.ResponseWriter, r *http.Request) bool {
		if !strings.Contains(r.URL.Path, "/tree/") {
			return false
		}
		n++
		w.Header().Set("Link", fmt.Sprintf(`<?page=%d>; rel="next"`, n))
		_, _ = w.Write([]byte("[" + page.String()[1:] + "]"))
		return true
	}}, hubtest.Repo{ID: id, Files: named("a.json")})
	wantError(t, h, id, source.ErrProtocol)
	if n != 2 {
		t.Errorf("%d pages were asked for, want 2", n)
	}
}

// TestLinkHeaders: the forms in which a next page is named.
func TestLinkHeaders(t *testing.T) {
	for header, follows := range map[string]bool{
		`<?p=1>; rel="next"`: true, `<?p=1>;rel=next`: true, `<?p=0>; rel="prev", <?p=1>; rel="next"`: true, `<?p=1>; title="x"; rel="last next"`: true,
		`<?p=1>; rel="last"`: false, `<?p=1>`: false, `?p=1; rel="next"`: false, `<?p=1; rel="next"`: false, ``: false, `>;<,;=`: false, `<`: false,
	} {
		var pages int
		h := hubtest.Start(t, hubtest.Options{Before: func(w http.ResponseWriter, r *http.Request) bool {
			if !strings.Contains(r.URL.Path, "/tree/") {
				return false
			}
			if pages++; pages == 1 {
				w.Header().Set("Link", header)
				return false
			}
			_, _ = w.Write([]byte("[]"))
			return true
		}}, hubtest.Repo{ID: id, Files: named("a.json")})
		wantPaths(t, resolve(t, client(t, h), id), "a.json")
		if (pages == 2) != follows {
			t.Errorf("%q: %d pages", header, pages)
		}
	}
}

// TestOtherServers: a web site, and a redirect to where no hub is.
func TestOtherServers(t *testing.T) {
	for _, part := range []string{"/revision/", "/tree/"} {
		wantError(t, hubtest.Start(t, answers(-1, part, sourcetest.WebPage), hubtest.Repo{ID: id, Files: named("a.json")}), id, source.ErrProtocol)
		page := func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Type", "text/html")
			w.WriteHeader(http.StatusNotFound)
		}
		wantError(t, hubtest.Start(t, answers(-1, part, page), hubtest.Repo{ID: id, Files: named("a.json")}), id, source.ErrProtocol)
	}
	for _, to := range []string{"http://169.254.169.254/x", "file:///etc/passwd", "http://0.0.0.0/"} {
		away := func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Location", to)
			w.WriteHeader(http.StatusFound)
		}
		wantError(t, hubtest.Start(t, answers(-1, "/api/", away), hubtest.Repo{ID: id, Files: named("a.json")}), id, guard.ErrRedirect)
		h := hubtest.Start(t, answers(-1, "/resolve/", away), hubtest.Repo{ID: id, Files: named("a.json")})
		if _, err := read(t, resolve(t, client(t, h), id).Files[0], 0, -1); !errors.Is(err, guard.ErrRedirect) {
			t.Errorf("a file at %s: %v, want ErrRedirect", to, err)
		}
	}
}

// TestWhatTheHubSaysIsCleaned (V30).
func TestWhatTheHubSaysIsCleaned(t *testing.T) {
	for _, code := range []string{"", "GatedRepo", "RepoNotFound", "RevisionNotFound", "EntryNotFound", "DisabledRepo", "\u202eOther"} {
		for _, status := range []int{400, 401, 403, 404} {
			h := hubtest.Start(t, answers(-1, "/api/", func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("X-Error-Code", code)
				w.Header().Set("X-Error-Message", "no\u202e[2J"+strings.Repeat("x", 9000))
				w.WriteHeader(status)
				_, _ = w.Write([]byte(`{"error":"\u001b[2J\n"}`))
			}), hubtest.Repo{ID: id, Files: named("a.json")})
			_, err := client(t, h).Resolve(t.Context(), id, options())
			if err == nil || len(err.Error()) > 1500 || strings.ContainsAny(err.Error(), "\x1b\u202e\n") {
				t.Errorf("%d %q: %.300q", status, code, err)
			}
		}
	}
}
