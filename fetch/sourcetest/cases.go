package sourcetest

import (
	"bytes"
	"context"
	"errors"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode"

	"github.com/google/go-cmp/cmp"
	"github.com/opencontainers/go-digest"

	"github.com/mstore/mstore/fetch/source"
	"github.com/mstore/mstore/manifest"
	"github.com/mstore/mstore/manifest/tags"
)

// promptly is what a cancelled call may take: the promise is a second.
const promptly = time.Second

func testResolve(t *testing.T, w World) {
	t.Helper()
	m := w.resolve(t, w.Ref)
	if err := tags.CheckName(m.Name); err != nil || !strings.Contains(m.Name, ":") {
		t.Errorf("Name %q has to be one for a store, with a tag: %v", m.Name, err)
	}
	if m.Unchanged || (m.Manifest == nil) == (len(m.Files) == 0) || (m.Manifest == nil) != (m.Origins == nil) {
		t.Errorf("a model has a manifest with origins, or files: %+v", m)
	}
	for _, b := range blobsOf(m) {
		if safe, err := manifest.SafePath(b.path); err != nil || safe != b.path {
			t.Errorf("path %q: %v", b.path, err)
		}
	}
	again := w.resolve(t, w.Rest(m.Reference))
	wantSame(t, "resolved by its Reference", again, m)
	wantFiles(t, again, w.Files)
	wantNames(t, m, again, w.Files, w.Files)
}

// wantNames: a Name is of bytes. It stays while they do, and two contents have two.
func wantNames(t *testing.T, before, after *source.Model, was, is map[string][]byte) {
	t.Helper()
	names := make(map[string]string)
	for _, b := range blobsOf(before) {
		if other, taken := names[b.name]; taken && b.name != "" {
			t.Errorf("%s and %s have the Name %q both", b.path, other, b.name)
		}
		names[b.name] = b.path
	}
	for _, b := range blobsOf(after) {
		path, named := names[b.name]
		if named && b.name != "" && !bytes.Equal(was[path], is[b.path]) {
			t.Errorf("%s has the Name %q of what were other bytes", b.path, b.name)
		}
	}
}

func testNoBlob(t *testing.T, w World) {
	t.Helper()
	m := w.resolve(t, w.Ref)
	w.resolve(t, w.Ref, have(m))
	if n := w.Blobs(); n != 0 {
		t.Errorf("Resolve asked for %d blobs", n)
	}
	wantFiles(t, m, w.Files)
	if w.Blobs() == 0 {
		t.Error("the world counts no requests for blobs: nothing was put to the test")
	}
}

func testUnchanged(t *testing.T, w World) {
	t.Helper()
	m := w.resolve(t, w.Ref)
	again := w.resolve(t, w.Ref, have(m))
	known := m.Digest != "" || m.Revision != "" || m.Validator != ""
	if again.Unchanged != known {
		t.Fatalf("what the store has is unchanged: %v, want %v", again.Unchanged, known)
	}
	wantSame(t, "what is unchanged", again, m)
	if again.Unchanged && (again.Manifest != nil || again.Origins != nil || again.Files != nil) {
		t.Errorf("what is unchanged has contents: %+v", again)
	}
	other := &source.Model{Digest: digest.FromString("older"), Revision: "older", Validator: `"older"`}
	if again := w.resolve(t, w.Ref, have(other)); again.Unchanged {
		t.Error("what the store has an older state of is unchanged")
	}
}

func testChanged(t *testing.T, w World) {
	t.Helper()
	old := w.resolve(t, w.Ref)
	now := w.Change(t)
	changed := w.resolve(t, w.Ref, have(old))
	if changed.Unchanged {
		t.Fatal("what has changed is unchanged")
	}
	wantFiles(t, changed, now)
	wantNames(t, old, changed, w.Files, now)
	for _, b := range blobsOf(old) { // which were resolved before
		got, err := b.all(t.Context())
		if err != nil || b.local != "" || bytes.Equal(got, w.Files[b.path]) || b.desc.Digest != "" {
			continue
		}
		if b.verify == nil || b.verify(int64(len(got)), bytes.NewReader(got)) == nil {
			t.Errorf("%s: an origin of the old model gives other bytes, and nothing tells", b.path)
		}
	}
}

// testTakes: a source gives what is taken; what is not, it may give too, but then it gives all.
func testTakes(t *testing.T, w World) {
	t.Helper()
	for _, path := range slices.Sorted(maps.Keys(w.Files)) {
		for _, change := range []func(*source.Options){
			func(o *source.Options) { o.Include = []string{"/" + path} },
			func(o *source.Options) { o.Exclude = []string{"/" + path} },
		} {
			opts := w.Options
			change(&opts)
			var taken []string
			for _, p := range slices.Sorted(maps.Keys(w.Files)) {
				if opts.Takes(p) {
					taken = append(taken, p)
				}
			}
			if len(taken) == 0 {
				continue
			}
			got := pathsOf(w.resolve(t, w.Ref, change))
			if !slices.Equal(got, taken) && len(got) != len(w.Files) {
				t.Errorf("include %q, exclude %q (-taken +got):\n%s", opts.Include, opts.Exclude, cmp.Diff(taken, got))
			}
		}
	}
}

// hostile are references that nobody types.
func hostile() []string {
	return []string{
		"", "/", "a", "\x00", "a/\x1b[31mb", "host.example/a\nb", "host.example/a/b\u202e", "host.example/org/name:\r\nX: y",
		"host.example/../../etc/passwd", strings.Repeat("host.example/", 5000), "host.example/a\xff", "org/name@", "org/name:",
	}
}

func testBadReferences(t *testing.T, w World) {
	t.Helper()
	for _, ref := range w.Missing {
		if _, err := w.Source.Resolve(t.Context(), ref, w.Options); !errors.Is(err, w.WantMissing) {
			t.Errorf("Resolve(%q) of nothing = %v, want %v", ref, err, w.WantMissing)
		} else {
			w.wantPrintable(t, err)
		}
	}
	for _, ref := range w.Malformed {
		if _, err := w.Source.Resolve(t.Context(), ref, w.Options); !errors.Is(err, w.WantMalformed) {
			t.Errorf("Resolve(%q) = %v, want %v", ref, err, w.WantMalformed)
		} else {
			w.wantPrintable(t, err)
		}
	}
	if w.OnDisk {
		return
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel() // one that looks well is not to be asked for
	for _, ref := range hostile() {
		m, err := w.Source.Resolve(ctx, ref, w.Options)
		if err == nil {
			t.Errorf("Resolve(%.100q) = %+v", ref, m)
			continue
		}
		w.wantPrintable(t, err)
	}
}

// wantPrintable: an error can be shown to a person as it is.
func (w World) wantPrintable(t *testing.T, err error) {
	t.Helper()
	const most = 2000
	text := err.Error()
	bad := strings.ContainsFunc(text, func(r rune) bool {
		return unicode.IsControl(r) || unicode.Is(unicode.Cf, r) || r == unicode.ReplacementChar
	})
	if bad || len(text) > most || text == "" {
		t.Errorf("the error is not fit to print (%d bytes): %.300q", len(text), text)
	}
	for _, secret := range w.Secrets {
		if strings.Contains(text, secret) {
			t.Errorf("the error holds the secret %q: %q", secret, text)
		}
	}
}

func testFault(t *testing.T, w World, name string) {
	t.Helper()
	fault := w.Faults[name]
	fault.Make(t)
	m, err := w.Source.Resolve(t.Context(), w.Ref, w.Options)
	if err == nil || fault.Want != nil && !errors.Is(err, fault.Want) {
		t.Fatalf("Resolve = %+v, %v; want %v", m, err, fault.Want)
	}
	w.wantPrintable(t, err)
}
