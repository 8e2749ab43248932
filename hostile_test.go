package mstore_test

import (
	"net/http"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/mstore/mstore"
)

const manifestType = ocispec.MediaTypeImageManifest

// hostileDigests are strings that take the place of a digest (CVE-2024-37032 and what followed it).
func hostileDigests() map[string]any {
	hex := strings.Repeat("a", 64)
	return map[string]any{
		"traversal": "sha256:../../../../etc/passwd", "dash": "sha256-" + hex, "empty": "", "no hex": "sha256:", "short": "sha256:" + hex[1:],
		"long": "sha256:" + hex + "a", "upper case": "sha256:" + strings.ToUpper(hex), "not hex": "sha256:" + strings.Repeat("g", 64),
		"sha512": "sha512:" + hex, "NUL": "sha256:" + hex[1:] + "\x00", "newline": "sha256:" + hex + "\n", "upper case algorithm": "SHA256:" + hex,
		"full-width digits": "sha256:" + strings.Repeat("０", 64), "only hex": hex, "a number": 7, "null": nil, "a path": "/etc/passwd",
		"space": " sha256:" + hex, "full sha512": "sha512:" + hex + hex,
	}
}

// hostileNames are file names that would leave the folder, or mean something else, on one system or another.
func hostileNames() map[string]string {
	return map[string]string{
		"parent": "../../../etc/passwd", "parent inside": "folder/../..", "backslash parent": `..\..`, "absolute": "/etc/passwd",
		"drive": `C:\windows`, "drive, slash": "C:/windows", "drive, relative": "D:relative", "share": `\\host\share`, "backslash": `\evil`,
		"nested": "a/b/../../../c", "device": "CON", "device, extension": "aux.txt", "device inside": "a/nul", "stream": "a:b", "trailing dot": "a.", "trailing space": "a ",
		"NUL": "a\x00b", "newline": "a\nb", "long": strings.Repeat("x", 256), "right to left": "a\u202Egpj.exe", "dot": ".", "dot dot": "..", "ESC": "a\x1b[2J",
	}
}

func TestHostileManifests(t *testing.T) {
	good := digest.FromString("good")
	type served struct {
		mediaType string
		raw       []byte
		headers   []string
	}
	cases := map[string]served{}
	as := func(name string, d doc) { cases[name] = served{manifestType, d.raw(t), nil} }
	for name, d := range hostileDigests() {
		as("layer digest: "+name, artifact(layer(d, 4, "a")))
		config := artifact(layer(good, 4, "a"))
		config["config"].(doc)["digest"] = d
		as("config digest: "+name, config)
	}
	for name, file := range hostileNames() {
		as("name: "+name, artifact(layer(good, 4, file)))
	}
	as("names that differ in case", artifact(layer(good, 4, "a"), layer(digest.FromString("b"), 1, "A")))
	as("names that differ in composition", artifact(layer(good, 4, "\u00e9"), layer(digest.FromString("b"), 1, "e\u0301")))
	as("a file that is a folder", artifact(layer(good, 4, "a"), layer(digest.FromString("b"), 1, "a/b")))
	as("one name, two digests", artifact(layer(good, 4, "a"), layer(digest.FromString("b"), 1, "a")))
	as("one digest, two sizes", artifact(layer(good, 4, "a"), layer(good, 5, "b")))
	as("size: -1", artifact(layer(good, -1, "a")))
	as("size: a fraction", artifact(layer(good, 4.5, "a")))
	as("size: more than 64 bits", artifact(layer(good, 1e20, "a")))
	as("sizes that overflow", artifact(layer(good, int64(1)<<62, "a"), layer(digest.FromString("b"), int64(1)<<62, "b")))
	as("layers and manifests", artifact(layer(good, 4, "a")).with("manifests", []doc{layer(good, 4, "a")}))
	as("another media type inside", artifact(layer(good, 4, "a")).with("mediaType", ocispec.MediaTypeImageIndex))
	as("a key twice in two cases", artifact(layer(good, 4, "a")).with("Layers", []doc{}))
	cases["5 MB"] = served{manifestType, artifact(layer(good, 4, "a")).with("annotations", doc{"x": strings.Repeat("x", 5<<20)}).raw(t), nil}
	cases["not JSON"] = served{manifestType, []byte("manifest"), nil}
	cases["empty"] = served{manifestType, nil, nil}
	cases["null"] = served{manifestType, []byte("null"), nil}
	cases["two documents"] = served{manifestType, append(artifact(layer(good, 4, "a")).raw(t), "{}"...), nil}
	cases["served as something else"] = served{ocispec.MediaTypeImageIndex, artifact(layer(good, 4, "a")).raw(t), nil}
	cases["the header lies about the digest"] = served{
		manifestType, artifact(layer(good, 4, "a")).raw(t), []string{"Docker-Content-Digest", digest.FromString("other").String()},
	}
	s, f := newStore(t), newFake(t)
	for name, c := range cases {
		f.manifest("bad", c.mediaType, c.raw, c.headers...)
		changesNothing(t, name, s, mstore.ErrVerification, func() error {
			_, err := s.Pull(t.Context(), f.Host+"/m:bad", once)
			return err
		})
	}
	f.mu.Lock()
	for what := range f.asked {
		if strings.Contains(what, "blobs/") {
			t.Errorf("asked for %s", what)
		}
	}
	f.mu.Unlock()
	wantNothingBeside(t, s)
	f.model(t, "good", content(100, 1))
	pull(t, s, f.Host+"/m:good", once)
}

// wantNothingBeside wants nothing but the store in its folder's parent.
func wantNothingBeside(t *testing.T, s *mstore.Store) {
	t.Helper()
	all, err := filepath.Glob(filepath.Join(filepath.Dir(s.Dir()), "*"))
	try(t, err)
	if diff := cmp.Diff([]string{s.Dir()}, all); diff != "" {
		t.Errorf("beside the store (-want +got):\n%s", diff)
	}
}

// TestSizesThatLie has blobs that are listed with sizes that they do not have. Nothing is allocated for a size that is
// only claimed; a disk that has no room for it says so.
func TestSizesThatLie(t *testing.T) {
	b := content(1000, 1)
	for name, size := range map[string]int64{"0": 0, "less": 999, "more": 1001, "a terabyte": 1 << 40, "2^62": 1 << 62} {
		t.Run(name, func(t *testing.T) {
			s, f := newStore(t), newFake(t)
			f.blob(b)
			f.blob([]byte("{}"))
			f.manifest("bad", manifestType, artifact(layer(digest.FromBytes(b), size, "a")).raw(t))
			_, err := s.Pull(t.Context(), f.Host+"/m:bad", once)
			class := mstore.ClassOf(err)
			if wrong := class != mstore.ErrVerification && class != mstore.ErrNetwork; wrong && (size < 1<<40 || class != mstore.ErrStorage) {
				t.Errorf("Pull = %s: %v", class, err)
			}
			wantFailure(t, "Pull", err, mstore.ClassOf(err))
			if got := look(t, s); len(got.Tags) != 0 {
				t.Errorf("there are tags: %v", got.Tags)
			}
			if _, err := s.Blobs().Stat(digest.FromBytes(b)); err == nil {
				t.Error("the blob is in the store")
			}
			f.model(t, "good", b)
			pull(t, s, f.Host+"/m:good", once)
		})
	}
}

func TestTheManifestChangesBetweenHeadAndGet(t *testing.T) {
	s, f := newStore(t), newFake(t)
	f.model(t, "v1", content(100, 1))
	f.model(t, "v2", content(100, 2))
	first := pull(t, s, f.Host+"/m:v1", once)
	f.mu.Lock()
	before, after := f.manifests["v1"], f.manifests["v2"]
	f.manifests["v1"] = func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodHead {
			w.Header().Set("Docker-Content-Digest", digest.FromString("third").String())
			return
		}
		after(w, r)
	}
	f.mu.Unlock()
	second := pull(t, s, f.Host+"/m:v1", once)
	f.mu.Lock()
	f.manifests["v1"] = before
	f.mu.Unlock()
	if third := pull(t, s, f.Host+"/m:v1", once); third.Digest != first.Digest || second.Digest == first.Digest || third.BytesFetched != 0 {
		t.Errorf("pulled %s, %s, %+v", first.Digest, second.Digest, third)
	}
}
