package export_test

import (
	"context"
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/mstore/mstore/blobstore"
	"github.com/mstore/mstore/blobstore/storetest"
	"github.com/mstore/mstore/export"
	"github.com/mstore/mstore/internal/key"
	"github.com/mstore/mstore/manifest"
)

const commit = "0123456789abcdef0123456789abcdef01234567"

// ggufModel is a model that fits every layout.
func ggufModel() map[string]string {
	return map[string]string{"model.gguf": "GGUF weights", "config.json": `{"a":1}`, "LICENSE": "free", "sub/README.md": "read me"}
}

// layouts are the exports of a model named org/name:v1, and the place that each has for the weights.
var layouts = map[export.Layout]struct {
	export  func(ctx context.Context, s *blobstore.Store, m *manifest.Manifest, dir string, opts export.Options) error
	weights func(d digest.Digest) string
	parent  string // a folder that the layout makes
}{
	export.LayoutOCI: {
		func(ctx context.Context, s *blobstore.Store, m *manifest.Manifest, dir string, opts export.Options) error {
			return export.OCI(ctx, s, m, dir, "org/name:v1", opts)
		},
		func(d digest.Digest) string { return "blobs/sha256/" + d.Encoded() }, "blobs",
	},
	export.LayoutHuggingFace: {
		func(ctx context.Context, s *blobstore.Store, m *manifest.Manifest, dir string, opts export.Options) error {
			return export.HuggingFace(ctx, s, m, dir, export.Repo{ID: "org/name", Commit: commit}, opts)
		},
		func(d digest.Digest) string { return "models--org--name/blobs/" + d.Encoded() }, "models--org--name",
	},
	export.LayoutOllama: {
		func(ctx context.Context, s *blobstore.Store, m *manifest.Manifest, dir string, opts export.Options) error {
			return export.Ollama(ctx, s, m, dir, export.OllamaName{Host: export.OllamaHost, Namespace: "org", Model: "name", Tag: "v1"}, opts)
		},
		func(d digest.Digest) string { return "blobs/sha256-" + d.Encoded() }, "blobs",
	},
}

// published is a model of which the manifest is in the store too.
func published(tb testing.TB, s *blobstore.Store, files map[string]string) *manifest.Manifest {
	tb.Helper()
	m := model(tb, s, files)
	put(tb, s, m.Raw)
	return m
}

func weightsOf(m *manifest.Manifest) manifest.File {
	f, _ := m.File("model.gguf")
	return f
}

// TestLayoutsInEveryMode: the weights are the user's own, or the store's and read-only, and never more than that; a
// second export changes nothing; what it tells of its progress adds up.
func TestLayoutsInEveryMode(t *testing.T) {
	for name, l := range layouts {
		for _, mode := range []export.Mode{"", export.Auto, export.Copy, export.Hardlink} {
			t.Run(string(name)+" "+string(mode), func(t *testing.T) {
				store := storetest.New(t)
				m := published(t, store, ggufModel())
				dir := filepath.Join(t.TempDir(), "a", "b")
				for range 2 {
					var begun, done atomic.Int64
					opts := export.Options{
						Mode: mode, Begin: func(n int64, _ int) { begun.Add(n) }, Progress: func(n int64) { done.Add(n) },
					}
					if err := l.export(t.Context(), store, m, dir, opts); err != nil {
						t.Fatal(err)
					}
					if begun.Load() == 0 || begun.Load() != done.Load() {
						t.Errorf("progress came to %d of %d", done.Load(), begun.Load())
					}
				}
				wantNoStage(t, dir)
				f := weightsOf(m)
				wantKind(t, store, filepath.Join(dir, l.weights(f.Descriptor.Digest)), f, mode)
			})
		}
	}
}

func TestLayoutsHaveNoLinksIntoTheStore(t *testing.T) {
	for name, l := range layouts {
		store := storetest.New(t)
		m := published(t, store, ggufModel())
		for _, mode := range []export.Mode{export.Symlink, "magic"} {
			dir := filepath.Join(t.TempDir(), "out")
			if err := l.export(t.Context(), store, m, dir, export.Options{Mode: mode}); !errors.Is(err, export.ErrMode) {
				t.Errorf("%s: mode %s: %v, want ErrMode", name, mode, err)
			}
			if _, err := os.Lstat(dir); !errors.Is(err, fs.ErrNotExist) {
				t.Errorf("%s: mode %s made the folder", name, mode)
			}
		}
	}
}

// TestLayoutsRefuseWhatIsInTheWay: nothing is replaced but names, nothing is followed, and nothing is written beside.
func TestLayoutsRefuseWhatIsInTheWay(t *testing.T) {
	for name, l := range layouts {
		for what, plant := range map[string]func(dir, weights, parent string) error{
			"other bytes under the name of the blob": func(dir, weights, _ string) error {
				write(t, filepath.Join(dir, weights), "GGUF wrights")
				return nil
			},
			"half a blob": func(dir, weights, _ string) error {
				write(t, filepath.Join(dir, weights), "GGUF")
				return nil
			},
			"a link in the place of the blob": func(dir, weights, _ string) error {
				path := filepath.Join(dir, weights)
				write(t, filepath.Join(dir, "elsewhere"), "GGUF weights")
				return errors.Join(os.MkdirAll(filepath.Dir(path), 0o755), os.Symlink(filepath.Join(dir, "elsewhere"), path))
			},
			"a folder in the place of the blob": func(dir, weights, _ string) error {
				return os.MkdirAll(filepath.Join(dir, weights), 0o755)
			},
			"a link in the place of a folder": func(dir, _, parent string) error {
				return os.Symlink(t.TempDir(), filepath.Join(dir, parent))
			},
			"a file in the place of a folder": func(dir, _, parent string) error {
				write(t, filepath.Join(dir, parent), "")
				return nil
			},
		} {
			t.Run(string(name)+": "+what, func(t *testing.T) {
				store := storetest.New(t)
				m := published(t, store, ggufModel())
				dir := t.TempDir()
				switch name {
				case export.LayoutOCI:
					write(t, filepath.Join(dir, "oci-layout"), `{"imageLayoutVersion":"1.0.0"}`)
				case export.LayoutOllama:
					write(t, filepath.Join(dir, "manifests/h/n/m/t"), "{}")
				}
				if err := plant(dir, l.weights(weightsOf(m).Descriptor.Digest), l.parent); err != nil {
					t.Fatal(err)
				}
				before := tree(t, dir)
				if err := l.export(t.Context(), store, m, dir, export.Options{}); !errors.Is(err, export.ErrExists) {
					t.Errorf("%v, want ErrExists", err)
				}
				wantTree(t, dir, before)
			})
		}
	}
}

// TestLayoutsRefuseEachOther: a folder that is laid out in one way is not laid out in another, and a store is no folder
// for exports.
func TestLayoutsRefuseEachOther(t *testing.T) {
	store := storetest.New(t)
	m := published(t, store, ggufModel())
	for there, first := range layouts {
		dir := t.TempDir()
		if err := first.export(t.Context(), store, m, dir, export.Options{}); err != nil {
			t.Fatal(err)
		}
		before := tree(t, dir)
		for name, l := range layouts {
			if err := l.export(t.Context(), store, m, dir, export.Options{}); name != there && !errors.Is(err, export.ErrExists) {
				t.Errorf("%s into %s: %v, want ErrExists", name, there, err)
			}
		}
		wantTree(t, dir, before)
	}
	for name, l := range layouts {
		dir := t.TempDir()
		write(t, filepath.Join(dir, "store.json"), "{}")
		write(t, filepath.Join(dir, "oci-layout"), `{"imageLayoutVersion":"1.0.0"}`)
		if err := os.Mkdir(filepath.Join(dir, "tags"), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := l.export(t.Context(), store, m, dir, export.Options{}); !errors.Is(err, export.ErrExists) {
			t.Errorf("%s into a store: %v, want ErrExists", name, err)
		}
	}
}

// TestLayoutsOfAModelWithoutItsBlobs: nothing is made.
func TestLayoutsOfAModelWithoutItsBlobs(t *testing.T) {
	for name, l := range layouts {
		m := published(t, storetest.New(t), ggufModel())
		dir := filepath.Join(t.TempDir(), "out")
		if err := l.export(t.Context(), storetest.New(t), m, dir, export.Options{}); !errors.Is(err, blobstore.ErrNotFound) {
			t.Errorf("%s: %v, want blobstore.ErrNotFound", name, err)
		}
		if _, err := os.Lstat(dir); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%s made the folder", name)
		}
	}
}

func index(t *testing.T, dir string) []ocispec.Descriptor {
	t.Helper()
	raw, err := os.ReadFile(filepath.Join(dir, "index.json"))
	if err != nil {
		t.Fatal(err)
	}
	got, err := manifest.ParseIndex("", raw)
	if err != nil {
		t.Fatal(err)
	}
	return got.Manifests
}

// TestOCI: an entry is replaced by one of the same name, others stay as they were written.
func TestOCI(t *testing.T) {
	store := storetest.New(t)
	dir := t.TempDir()
	foreign := `{"mediaType":"application/vnd.oci.image.manifest.v1+json","digest":"sha256:` + strings.Repeat("a", 64) +
		`","size":7,"annotations":{"org.opencontainers.image.ref.name":"theirs"},"data":"e30="}`
	write(t, filepath.Join(dir, "oci-layout"), `{ "imageLayoutVersion": "1.0.0" }`+"\n")
	write(t, filepath.Join(dir, "index.json"), `{"schemaVersion":2,"manifests":[`+foreign+`],"x-theirs":{"a":1}}`)
	older, newer := published(t, store, small()), published(t, store, ggufModel())
	for _, m := range []*manifest.Manifest{older, newer} {
		if err := export.OCI(t.Context(), store, m, dir, "localhost:5000/org/name:v1", export.Options{}); err != nil {
			t.Fatal(err)
		}
	}
	entries := index(t, dir)
	if len(entries) != 2 || entries[1].Digest != newer.Descriptor.Digest || entries[1].Size != newer.Descriptor.Size {
		t.Fatalf("index.json has %+v", entries)
	}
	want := map[string]string{ocispec.AnnotationRefName: "v1", "io.containerd.image.name": "localhost:5000/org/name:v1"}
	if diff := cmp.Diff(want, entries[1].Annotations); diff != "" {
		t.Error(diff)
	}
	raw, _ := os.ReadFile(filepath.Join(dir, "index.json"))
	if !strings.Contains(string(raw), foreign) || !strings.Contains(string(raw), `"x-theirs":{"a":1}`) {
		t.Errorf("what others had in index.json is gone: %s", raw)
	}
	for _, d := range append(newer.Blobs(), newer.Descriptor) {
		raw, err := os.ReadFile(filepath.Join(dir, "blobs", "sha256", d.Digest.Encoded()))
		if err != nil || digest.FromBytes(raw) != d.Digest {
			t.Errorf("blob %s: %v", d.Digest, err)
		}
	}
	before := tree(t, dir)
	if err := export.OCI(t.Context(), store, older, dir, "other/name:v1", export.Options{}); !errors.Is(err, export.ErrExists) {
		t.Errorf("another model of the same tag: %v, want ErrExists", err)
	}
	wantTree(t, dir, before)
	pinned := "host.example/x@" + older.Descriptor.Digest.String()
	for range 2 {
		if err := export.OCI(t.Context(), store, older, dir, pinned, export.Options{}); err != nil {
			t.Fatal(err)
		}
	}
	if entries = index(t, dir); len(entries) != 3 || entries[2].Annotations[ocispec.AnnotationRefName] != "" {
		t.Errorf("a name with a digest: %+v", entries)
	}
}

func TestOCIRefusesWhatIsNoLayout(t *testing.T) {
	for name, files := range map[string]map[string]string{
		"an index alone":            {"index.json": `{"schemaVersion":2,"manifests":[]}`},
		"blobs alone":               {"blobs/x": ""},
		"another version":           {"oci-layout": `{"imageLayoutVersion":"2.0.0"}`},
		"no JSON":                   {"oci-layout": "x"},
		"an index that is no JSON":  {"oci-layout": `{"imageLayoutVersion":"1.0.0"}`, "index.json": "x"},
		"an index of another shape": {"oci-layout": `{"imageLayoutVersion":"1.0.0"}`, "index.json": `{"schemaVersion":2,"manifests":[{"digest":"sha256:../../x","mediaType":"a","size":1}]}`},
		"an index too large":        {"oci-layout": `{"imageLayoutVersion":"1.0.0"}`, "index.json": strings.Repeat(" ", manifest.MaxSize+1)},
	} {
		store := storetest.New(t)
		m := published(t, store, ggufModel())
		dir := t.TempDir()
		for path, content := range files {
			write(t, filepath.Join(dir, path), content)
		}
		before := tree(t, dir)
		err := export.OCI(t.Context(), store, m, dir, "m:v1", export.Options{})
		if !errors.Is(err, export.ErrExists) && !errors.Is(err, manifest.ErrMalformed) {
			t.Errorf("%s: %v", name, err)
		}
		wantTree(t, dir, before)
	}
	if err := export.OCI(t.Context(), storetest.New(t), &manifest.Manifest{}, t.TempDir(), "", export.Options{}); !errors.Is(err, export.ErrLayout) {
		t.Errorf("a model without a name: %v", err)
	}
}

// TestOCIAtOnce: several exports into one new layout lose no entry.
func TestOCIAtOnce(t *testing.T) {
	store := storetest.New(t)
	m := published(t, store, ggufModel())
	dir := filepath.Join(t.TempDir(), "layout")
	tags := []string{"a", "b", "c", "d", "e", "f", "g", "h"}
	var wg sync.WaitGroup
	for _, tag := range tags {
		wg.Go(func() {
			if err := export.OCI(t.Context(), store, m, dir, "m:"+tag, export.Options{}); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if got := index(t, dir); len(got) != len(tags) {
		t.Errorf("%d of %d entries are in the index", len(got), len(tags))
	}
	wantNoStage(t, dir)
}

// TestHuggingFace: the whole cache of a model, beside one that was there.
func TestHuggingFace(t *testing.T) {
	store := storetest.New(t)
	files := map[string]string{
		"config.json": `{"a":1}`, "sub/deep/vocab.txt": "a\nb\n", "empty": "",
		"model.safetensors": "weights", "copy.safetensors": "weights", "large.json": random(10<<20, 1),
	}
	m := model(t, store, files)
	dir := t.TempDir()
	write(t, filepath.Join(dir, "models--other--model/refs/main"), commit)
	write(t, filepath.Join(dir, "CACHEDIR.TAG"), "theirs")
	if err := export.HuggingFace(t.Context(), store, m, dir, export.Repo{ID: "org/name", Commit: commit}, export.Options{Mode: export.Copy}); err != nil {
		t.Fatal(err)
	}
	snapshot := "models--org--name/snapshots/" + commit
	wantFiles(t, dir, map[string]string{
		"CACHEDIR.TAG": "theirs", "models--other--model/refs/main": commit, "models--org--name/refs/main": commit,
		// git's own names: git hash-object
		"models--org--name/blobs/daa5053ecf5f9a37b2de733d0751cc1ab53ac010":            `{"a":1}`,
		"models--org--name/blobs/422c2b7ab3b3c668038da977e4e93a5fc623169c":            "a\nb\n",
		"models--org--name/blobs/e69de29bb2d1d6434b8b29ae775ad8c2e48c5391":            "",
		"models--org--name/blobs/" + digest.FromString("weights").Encoded():           "weights",
		"models--org--name/blobs/" + digest.FromString(files["large.json"]).Encoded(): files["large.json"],
		snapshot + "/config.json": files["config.json"], snapshot + "/sub/deep/vocab.txt": files["sub/deep/vocab.txt"],
		snapshot + "/empty": "", snapshot + "/model.safetensors": "weights", snapshot + "/copy.safetensors": "weights",
		snapshot + "/large.json": files["large.json"],
	})
	link, err := os.Readlink(filepath.Join(dir, snapshot, "sub/deep/vocab.txt"))
	if want := "../../../../blobs/422c2b7ab3b3c668038da977e4e93a5fc623169c"; err != nil || filepath.ToSlash(link) != want {
		t.Errorf("the link in a sub-folder is %q, %v; want %q", link, err, want)
	}
}

// TestHuggingFaceRevisions: which names come to mean the commit.
func TestHuggingFaceRevisions(t *testing.T) {
	other := strings.Repeat("f", 40)
	for name, c := range map[string]struct {
		repo export.Repo
		have map[string]string
		want map[string]string
	}{
		"main is moved":              {export.Repo{}, map[string]string{"main": other}, map[string]string{"main": commit}},
		"a tag, and main is not had": {export.Repo{Revision: "v1"}, nil, map[string]string{"v1": commit, "main": commit}},
		"a tag, and main stays": {
			export.Repo{Revision: "refs/pr/1"}, map[string]string{"main": other}, map[string]string{"refs/pr/1": commit, "main": other},
		},
		"a commit has no name": {export.Repo{Revision: commit}, map[string]string{"main": other}, map[string]string{"main": other}},
	} {
		store := storetest.New(t)
		m := model(t, store, map[string]string{"f": "x"})
		dir := t.TempDir()
		refs := filepath.Join(dir, "models--name", "refs")
		for rev, to := range c.have {
			write(t, filepath.Join(refs, rev), to)
		}
		c.repo.ID, c.repo.Commit = "name", commit
		if err := export.HuggingFace(t.Context(), store, m, dir, c.repo, export.Options{}); err != nil {
			t.Fatal(err)
		}
		t.Log(name)
		wantFiles(t, refs, c.want)
	}
}

func TestHuggingFaceWithoutACommit(t *testing.T) {
	store := storetest.New(t)
	m := model(t, store, map[string]string{"f": "x"})
	dir := t.TempDir()
	if err := export.HuggingFace(t.Context(), store, m, dir, export.Repo{ID: "name"}, export.Options{}); err != nil {
		t.Fatal(err)
	}
	wantFiles(t, filepath.Join(dir, "models--name", "refs"), map[string]string{"main": m.Descriptor.Digest.Encoded()[:40]})
}

func TestHuggingFaceRefuses(t *testing.T) {
	store := storetest.New(t)
	plain := model(t, store, map[string]string{"f": "x"})
	for _, id := range []string{
		"", "/", "a/", "/b", "a/b/c", "..", "../x", "a/..", ".a/b", "a-/b", "a/-b", "a--b/c", "a..b", "a b", "a\x00b", "ä/b", "a/b.git",
		strings.Repeat("a", 97), `a\b`, "a\nb",
	} {
		err := export.HuggingFace(t.Context(), store, plain, t.TempDir(), export.Repo{ID: id, Commit: commit}, export.Options{})
		if !errors.Is(err, export.ErrLayout) {
			t.Errorf("ID %q: %v, want ErrLayout", id, err)
		}
	}
	for _, repo := range []export.Repo{
		{ID: "a/b", Commit: "../../x"},
		{ID: "a/b", Commit: strings.ToUpper(commit)},
		{ID: "a/b", Commit: commit[1:]},
		{ID: "a/b", Revision: "../../x"},
		{ID: "a/b", Revision: "/x"},
		{ID: "a/b", Revision: "x//y"},
		{ID: "a/b", Revision: "x\ny"},
	} {
		dir := t.TempDir()
		if err := export.HuggingFace(t.Context(), store, plain, dir, repo, export.Options{}); !errors.Is(err, export.ErrLayout) {
			t.Errorf("%+v: %v, want ErrLayout", repo, err)
		}
		wantFiles(t, dir, map[string]string{})
	}
	archive := &manifest.Manifest{Descriptor: plain.Descriptor, Files: []manifest.File{{Archive: manifest.Tar, Descriptor: plain.Config}}}
	err := export.HuggingFace(t.Context(), store, archive, t.TempDir(), export.Repo{ID: "a/b"}, export.Options{})
	if !errors.Is(err, export.ErrLayout) {
		t.Errorf("a model with archives: %v, want ErrLayout", err)
	}
}

// TestHuggingFaceSnapshotInTheWay: a pointer that leads elsewhere is left as it is, even to the same bytes.
func TestHuggingFaceSnapshotInTheWay(t *testing.T) {
	for _, to := range []string{"../../../outside", "/etc/passwd", "../../blobs/" + strings.Repeat("0", 40)} {
		store := storetest.New(t)
		m := model(t, store, map[string]string{"f": "x"})
		dir := t.TempDir()
		snapshot := filepath.Join(dir, "models--name", "snapshots", commit)
		if err := errors.Join(os.MkdirAll(snapshot, 0o755), os.Symlink(to, filepath.Join(snapshot, "f"))); err != nil {
			t.Fatal(err)
		}
		before := tree(t, dir)
		err := export.HuggingFace(t.Context(), store, m, dir, export.Repo{ID: "name", Commit: commit}, export.Options{})
		if !errors.Is(err, export.ErrExists) {
			t.Errorf("a pointer to %s: %v, want ErrExists", to, err)
		}
		wantTree(t, dir, before)
	}
}

func ollamaAt(dir string) string {
	return filepath.Join(dir, "manifests", export.OllamaHost, "org", "name", "v1")
}

// TestOllamaKeepsItsOwnManifest: byte for byte, with every blob it names.
func TestOllamaKeepsItsOwnManifest(t *testing.T) {
	store := storetest.New(t)
	config, weights, params := put(t, store, []byte(`{"model_format":"gguf"}`)), put(t, store, []byte("GGUF")), put(t, store, []byte(`{"stop":["x"]}`))
	raw := []byte(`{ "schemaVersion":2, "mediaType":"` + manifest.MediaTypeDockerManifest + `","config":{"mediaType":"application/vnd.docker.container.image.v1+json","digest":"` +
		config.Digest.String() + `","size":23},"layers":[{"mediaType":"application/vnd.ollama.image.model","digest":"` + weights.Digest.String() +
		`","size":4,"from":"/x"},{"mediaType":"application/vnd.ollama.image.params","digest":"` + params.Digest.String() + `","size":14}]}`)
	m, err := manifest.Parse("", raw)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	write(t, ollamaAt(dir), "an older one")
	if err := layouts[export.LayoutOllama].export(t.Context(), store, m, dir, export.Options{Mode: export.Copy}); err != nil {
		t.Fatal(err)
	}
	wantFiles(t, dir, map[string]string{
		"manifests/registry.ollama.ai/org/name/v1": string(raw),
		"blobs/sha256-" + config.Digest.Encoded():  `{"model_format":"gguf"}`,
		"blobs/sha256-" + weights.Digest.Encoded(): "GGUF",
		"blobs/sha256-" + params.Digest.Encoded():  `{"stop":["x"]}`,
	})
}

// TestOllamaOfAnotherModel: the weights, a projector and the licences, under a manifest that Ollama reads.
func TestOllamaOfAnotherModel(t *testing.T) {
	store := storetest.New(t)
	files := ggufModel()
	files["mmproj-F16.gguf"] = "GGUF projector"
	m := model(t, store, files)
	dir := t.TempDir()
	if err := layouts[export.LayoutOllama].export(t.Context(), store, m, dir, export.Options{}); err != nil {
		t.Fatal(err)
	}
	raw, err := os.ReadFile(ollamaAt(dir))
	if err != nil {
		t.Fatal(err)
	}
	made, err := manifest.Parse(manifest.MediaTypeDockerManifest, raw)
	if err != nil || made.Kind != manifest.KindOllama {
		t.Fatalf("the manifest is of kind %q, %v", made.Kind, err)
	}
	got := make(map[string]string)
	for _, l := range made.Layers {
		got[strings.TrimPrefix(l.MediaType, "application/vnd.ollama.image.")] = readBlob(t, dir, l)
	}
	want := map[string]string{"model": "GGUF weights", "projector": "GGUF projector", "license": "free"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	var config struct {
		Format string `json:"model_format"`
	}
	if err := json.Unmarshal([]byte(readBlob(t, dir, made.Config)), &config); err != nil || config.Format != "gguf" {
		t.Errorf("the config says %+v, %v", config, err)
	}
}

func readBlob(t *testing.T, dir string, d ocispec.Descriptor) string {
	t.Helper()
	k, err := key.Parse(d.Digest)
	if err != nil {
		t.Fatal(err)
	}
	raw, err := os.ReadFile(filepath.Join(dir, "blobs", "sha256-"+k.Hex()))
	if err != nil || digest.FromBytes(raw) != d.Digest || int64(len(raw)) != d.Size {
		t.Errorf("blob %s: %v", d.Digest, err)
	}
	return string(raw)
}

func TestOllamaRefusesWhatItCannotRun(t *testing.T) {
	for name, files := range map[string]map[string]string{
		"safetensors":         {"model.safetensors": "x", "config.json": "{}"},
		"two files":           {"a.gguf": "GGUF", "b.gguf": "GGUF2"},
		"two projectors":      {"a.gguf": "GGUF", "mmproj-a.gguf": "GGUFa", "mmproj-b.gguf": "GGUFb"},
		"a projector alone":   {"mmproj-a.gguf": "GGUFa"},
		"a GGUF that is none": {"a.gguf": "not it"},
		"an empty GGUF":       {"a.gguf": ""},
	} {
		store := storetest.New(t)
		m := model(t, store, files)
		dir := filepath.Join(t.TempDir(), "out")
		if err := layouts[export.LayoutOllama].export(t.Context(), store, m, dir, export.Options{}); !errors.Is(err, export.ErrLayout) {
			t.Errorf("%s: %v, want ErrLayout", name, err)
		}
		if _, err := os.Lstat(dir); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%s made the folder", name)
		}
	}
}

func TestOllamaNames(t *testing.T) {
	store := storetest.New(t)
	m := model(t, store, ggufModel())
	good := export.OllamaName{Host: "localhost:5000", Namespace: "me", Model: "a.b_c-1", Tag: "v1.0"}
	dir := t.TempDir()
	if err := export.Ollama(t.Context(), store, m, dir, good, export.Options{}); err != nil {
		t.Error(err)
	}
	lstat(t, filepath.Join(dir, "manifests", "localhost:5000", "me", "a.b_c-1", "v1.0"))
	for _, bad := range []string{"", ".", "..", "../x", "a/b", "-a", ".a", "a b", "ä", "a\x00", strings.Repeat("a", 351), "a@b"} {
		for _, n := range []export.OllamaName{
			{bad, "n", "m", "t"}, {"h", bad, "m", "t"}, {"h", "n", bad, "t"}, {"h", "n", "m", bad},
		} {
			if err := export.Ollama(t.Context(), store, m, t.TempDir(), n, export.Options{}); !errors.Is(err, export.ErrLayout) {
				t.Errorf("%q: %v, want ErrLayout", n, err)
			}
		}
	}
	if err := export.Ollama(t.Context(), store, m, t.TempDir(), export.OllamaName{"h", "n.m", "m", "t"}, export.Options{}); !errors.Is(err, export.ErrLayout) {
		t.Errorf("a namespace with a dot: %v", err)
	}
}

// TestOllamaNewerForm: a name that a newer Ollama keeps elsewhere would hide ours, and is not touched.
func TestOllamaNewerForm(t *testing.T) {
	store := storetest.New(t)
	m := model(t, store, ggufModel())
	dir := t.TempDir()
	write(t, filepath.Join(dir, "manifests-v2/ollama.com/org/name/v1"), "{}")
	before := tree(t, dir)
	if err := layouts[export.LayoutOllama].export(t.Context(), store, m, dir, export.Options{}); !errors.Is(err, export.ErrExists) {
		t.Errorf("%v, want ErrExists", err)
	}
	wantTree(t, dir, before)
}

// TestLayoutsAreFinishedByTheSameCall: an export that was cut short leaves no name that leads nowhere, and the next one
// has only the rest to do.
func TestLayoutsAreFinishedByTheSameCall(t *testing.T) {
	for name, l := range layouts {
		store := storetest.New(t)
		files := ggufModel()
		files["model.gguf"] = "GGUF" + random(20<<20, 1)
		m := published(t, store, files)
		dir := filepath.Join(t.TempDir(), "out")
		ctx, cancel := context.WithCancel(t.Context())
		err := l.export(ctx, store, m, dir, export.Options{Mode: export.Copy, Progress: func(n int64) {
			if n > 1<<10 {
				cancel()
			}
		}})
		if !errors.Is(err, context.Canceled) {
			t.Fatalf("%s: %v", name, err)
		}
		for path := range tree(t, dir) {
			if filepath.Base(path) == "index.json" || strings.Contains(path, "/refs/") || strings.Contains(path, "/snapshots/") || strings.HasPrefix(path, "manifests/") {
				t.Errorf("%s: %s is there before what it leads to", name, path)
			}
		}
		wantNoStage(t, dir)
		if err := l.export(t.Context(), store, m, dir, export.Options{Mode: export.Copy}); err != nil {
			t.Errorf("%s, again: %v", name, err)
		}
		raw, err := os.ReadFile(filepath.Join(dir, l.weights(weightsOf(m).Descriptor.Digest)))
		if err != nil || string(raw) != files["model.gguf"] {
			t.Errorf("%s: the weights are %d bytes, %v", name, len(raw), err)
		}
	}
}
