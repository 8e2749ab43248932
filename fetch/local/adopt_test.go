package local_test

import (
	"crypto/sha1"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/opencontainers/go-digest"

	"github.com/mstore/mstore/fetch/local"
	"github.com/mstore/mstore/fetch/source"
	"github.com/mstore/mstore/fetch/sourcetest"
	"github.com/mstore/mstore/manifest"
)

var (
	_ source.Source = local.HFCache{}
	_ source.Source = local.OllamaStore{}
)

const (
	commit      = "0123456789abcdef0123456789abcdef01234567"
	otherCommit = "89abcdef0123456789abcdef0123456789abcdef"
)

func gitOID(content string) string {
	return fmt.Sprintf("%x", sha1.Sum([]byte(fmt.Sprintf("blob %d\x00%s", len(content), content))))
}

// hub writes a snapshot of a repository as Hugging Face's tools do: weights are named by sha256, the rest by git.
func hub(t *testing.T, dir, repo, commit string, files map[string]string) {
	t.Helper()
	base := filepath.Join(dir, "models--"+strings.ReplaceAll(repo, "/", "--"))
	for path, content := range files {
		etag := gitOID(content)
		if strings.HasSuffix(path, ".bin") {
			etag = digest.FromString(content).Encoded()
		}
		write(t, base, map[string]string{"blobs/" + etag: content})
		up := strings.Repeat("../", 2+strings.Count(path, "/"))
		symlink(t, up+"blobs/"+etag, filepath.Join(base, "snapshots", commit, path))
	}
}

func symlink(t *testing.T, to, path string) {
	t.Helper()
	if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o755), os.Symlink(to, path)); err != nil {
		t.Fatal(err)
	}
}

func hubFiles() map[string]string {
	return map[string]string{"config.json": "{}", "sub/deep/w.bin": "weights", "empty": ""}
}

func TestHFCache(t *testing.T) {
	dir := t.TempDir()
	base := "models--Org--Name-1.5"
	hub(t, dir, "Org/Name-1.5", commit, hubFiles())
	hub(t, dir, "old", otherCommit, map[string]string{"f": "x"})
	write(t, dir, map[string]string{
		base + "/refs/main": commit, base + "/refs/refs/pr/1": commit + "\n", base + "/refs/gone": otherCommit,
		"CACHEDIR.TAG": "", "datasets--x--y/refs/main": commit, "models--a--b--c/refs/main": commit, ".locks/x": "",
	})
	c := local.HFCache{Dir: dir}
	list, err := c.List(t.Context())
	want := []string{"Org/Name-1.5", "Org/Name-1.5@gone", "Org/Name-1.5@refs/pr/1", "old@" + otherCommit}
	if diff := cmp.Diff(want, list); err != nil || diff != "" {
		t.Errorf("List: %v\n%s", err, diff)
	}
	for ref, name := range map[string]string{
		"Org/Name-1.5": "hf.co/Org/Name-1.5:main", "Org/Name-1.5@refs/pr/1": "hf.co/Org/Name-1.5:refs-pr-1",
		"Org/Name-1.5@" + commit: "hf.co/Org/Name-1.5:" + commit,
	} {
		m, err := c.Resolve(t.Context(), ref, source.Options{})
		if err != nil {
			t.Errorf("%s: %v", ref, err)
			continue
		}
		if m.Name != name || m.Reference != "hf://"+ref || m.Revision != "" {
			t.Errorf("%s is %q from %q at %q", ref, m.Name, m.Reference, m.Revision)
		}
		got := make(map[string]string)
		for _, f := range m.Files {
			raw, err := os.ReadFile(f.Local)
			if err != nil || f.Descriptor.Digest != digest.FromBytes(raw) || f.Descriptor.Size != int64(len(raw)) {
				t.Errorf("%s: %+v, %v", f.Path, f.Descriptor, err)
			}
			got[f.Path] = string(raw)
		}
		if diff := cmp.Diff(hubFiles(), got); diff != "" {
			t.Error(diff)
		}
	}
	if _, err := c.Resolve(t.Context(), "Org/Name-1.5@gone", source.Options{}); !errors.Is(err, local.ErrNotFound) {
		t.Errorf("a ref to a commit that is not there: %v", err)
	}
}

// TestHFCacheRevision: a model is said to be a commit only where the cache knows that all of it is here.
func TestHFCacheRevision(t *testing.T) {
	for tree, want := range map[string]string{
		`{"format_version":1,"files":{"config.json":{},"sub/deep/w.bin":{},"empty":{}}}`: commit,
		`{"format_version":1,"files":{"config.json":{},"more.bin":{}}}`:                  "",
		`{"files":{}}`: "", `x`: "",
	} {
		dir := t.TempDir()
		hub(t, dir, "m", commit, hubFiles())
		write(t, dir, map[string]string{"models--m/refs/main": commit, "models--m/trees/" + commit + ".json": tree})
		m, err := local.HFCache{Dir: dir}.Resolve(t.Context(), "m", source.Options{})
		if err != nil || m.Revision != want {
			t.Errorf("%s: %+v, %v; want the revision %q", tree, m, err, want)
		}
	}
}

func TestHFCacheRefusesWhatIsNotRight(t *testing.T) {
	snapshots := "models--m/snapshots/" + commit
	for name, c := range map[string]struct {
		plant func(t *testing.T, dir string)
		want  error
	}{
		"a small file with other bytes": {func(t *testing.T, dir string) {
			write(t, dir, map[string]string{"models--m/blobs/" + gitOID("{}"): "[]"})
		}, source.ErrDigest},
		"a download that did not finish": {func(t *testing.T, dir string) {
			blob := filepath.Join(dir, "models--m/blobs", digest.FromString("weights").Encoded())
			try(t, os.Rename(blob, blob+".incomplete"))
		}, fs.ErrNotExist},
		"a link out of the cache": {func(t *testing.T, dir string) {
			symlink(t, "/etc/passwd", filepath.Join(dir, snapshots, "x"))
		}, local.ErrPath},
		"a link to another repository": {func(t *testing.T, dir string) {
			hub(t, dir, "secret", commit, hubFiles())
			symlink(t, "../../../models--secret/blobs/"+gitOID("{}"), filepath.Join(dir, snapshots, "x"))
		}, local.ErrPath},
		"a link by a detour": {func(t *testing.T, dir string) {
			symlink(t, "../../blobs/../refs/main", filepath.Join(dir, snapshots, "x"))
		}, local.ErrPath},
		"a link to a link": {func(t *testing.T, dir string) {
			symlink(t, "/etc/passwd", filepath.Join(dir, "models--m/blobs", strings.Repeat("a", 40)))
			symlink(t, "../../blobs/"+strings.Repeat("a", 40), filepath.Join(dir, snapshots, "x"))
		}, local.ErrPath},
		"a blob of a strange name": {func(t *testing.T, dir string) {
			write(t, dir, map[string]string{"models--m/blobs/passwd": ""})
			symlink(t, "../../blobs/passwd", filepath.Join(dir, snapshots, "x"))
		}, local.ErrPath},
		"the folder of blobs is a link": {func(t *testing.T, dir string) {
			try(t, os.Rename(filepath.Join(dir, "models--m/blobs"), filepath.Join(dir, "blobs")))
			symlink(t, filepath.Join(dir, "blobs"), filepath.Join(dir, "models--m/blobs"))
		}, local.ErrPath},
		"the snapshot is a link": {func(t *testing.T, dir string) {
			try(t, os.Rename(filepath.Join(dir, snapshots), filepath.Join(dir, "elsewhere")))
			symlink(t, filepath.Join(dir, "elsewhere"), filepath.Join(dir, snapshots))
		}, local.ErrPath},
		"a name that no model has": {func(t *testing.T, dir string) {
			symlink(t, "../../blobs/"+gitOID("{}"), filepath.Join(dir, snapshots, "a\nb"))
		}, manifest.ErrUnsafePath},
		"names that are one": {func(t *testing.T, dir string) {
			symlink(t, "../../blobs/"+gitOID("{}"), filepath.Join(dir, snapshots, "CONFIG.json"))
		}, local.ErrPath},
		"a ref that is no commit": {func(t *testing.T, dir string) {
			write(t, dir, map[string]string{"models--m/refs/main": "../../../../etc"})
		}, local.ErrPath},
		"a ref that is a link": {func(t *testing.T, dir string) {
			try(t, os.Remove(filepath.Join(dir, "models--m/refs/main")))
			symlink(t, "/etc/hostname", filepath.Join(dir, "models--m/refs/main"))
		}, local.ErrPath},
		"a ref without end": {func(t *testing.T, dir string) {
			write(t, dir, map[string]string{"models--m/refs/main": strings.Repeat("a", 65)})
		}, manifest.ErrMalformed},
		"an empty snapshot": {func(t *testing.T, dir string) {
			try(t, os.RemoveAll(filepath.Join(dir, snapshots)), os.Mkdir(filepath.Join(dir, snapshots), 0o755))
		}, local.ErrPath},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			hub(t, dir, "m", commit, hubFiles())
			write(t, dir, map[string]string{"models--m/refs/main": commit})
			c.plant(t, dir)
			if m, err := (local.HFCache{Dir: dir}).Resolve(t.Context(), "m", source.Options{}); !errors.Is(err, c.want) {
				t.Errorf("Resolve = %+v, %v; want %v", m, err, c.want)
			}
		})
	}
}

func TestHFCacheReferences(t *testing.T) {
	c := local.HFCache{Dir: t.TempDir()}
	for _, ref := range []string{"", "@main", "a/b/c", "../x", "a--b", "a/..", "a b", "x@", "x@../../y", "x@/y", "x@a\nb"} {
		if _, err := c.Resolve(t.Context(), ref, source.Options{}); !errors.Is(err, source.ErrReference) {
			t.Errorf("%q: %v, want ErrReference", ref, err)
		}
	}
	if _, err := c.Resolve(t.Context(), "org/none", source.Options{}); !errors.Is(err, local.ErrNotFound) {
		t.Errorf("a model that is not there: %v", err)
	}
	if _, err := (local.HFCache{Dir: filepath.Join(c.Dir, "none")}).List(t.Context()); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("List of no folder: %v", err)
	}
}

func try(t *testing.T, errs ...error) {
	t.Helper()
	if err := errors.Join(errs...); err != nil {
		t.Fatal(err)
	}
}

// ollama writes a model as Ollama keeps it and gives its manifest.
func ollama(t *testing.T, dir, path, weights string) string {
	t.Helper()
	config := `{"model_format":"gguf"}`
	raw := fmt.Sprintf(`{"schemaVersion":2,"mediaType":%q,"config":{"mediaType":"application/vnd.docker.container.image.v1+json","digest":%q,"size":%d},`+
		`"layers":[{"mediaType":"application/vnd.ollama.image.model","digest":%q,"size":%d,"from":"/x"}]}`,
		manifest.MediaTypeDockerManifest, digest.FromString(config), len(config), digest.FromString(weights), len(weights))
	write(t, dir, map[string]string{
		"blobs/sha256-" + digest.FromString(config).Encoded(): config, "blobs/sha256-" + digest.FromString(weights).Encoded(): weights,
		path: raw,
	})
	return raw
}

func TestOllamaStore(t *testing.T) {
	dir := t.TempDir()
	raw := ollama(t, dir, "manifests/registry.ollama.ai/library/llama3/8b", "GGUF")
	ollama(t, dir, "manifests/hf.co/Org/Name/Q4_K_M", "GGUF2")
	newer := ollama(t, dir, "manifests/registry.ollama.ai/me/new/latest", "GGUF3")
	hex := digest.FromString(newer).Encoded()
	write(t, dir, map[string]string{"blobs/sha256-" + hex: newer, "manifests/registry.ollama.ai/me/new/latest": "hidden", "manifests/.DS_Store": ""})
	symlink(t, "../../../../blobs/sha256-"+hex, filepath.Join(dir, "manifests-v2/ollama.com/me/new/latest"))
	o := local.OllamaStore{Dir: dir}
	list, err := o.List(t.Context())
	if diff := cmp.Diff([]string{"hf.co/Org/Name:Q4_K_M", "library/llama3:8b", "me/new:latest"}, list); err != nil || diff != "" {
		t.Errorf("List: %v\n%s", err, diff)
	}
	for ref, want := range map[string][2]string{
		"llama3:8b":                    {"ollama.com/library/llama3:8b", "ollama://library/llama3:8b"},
		"ollama.com/library/llama3:8b": {"ollama.com/library/llama3:8b", "ollama://library/llama3:8b"},
		"me/new":                       {"ollama.com/me/new:latest", "ollama://me/new:latest"},
		"hf.co/Org/Name:Q4_K_M":        {"hf.co/Org/Name:Q4_K_M", "ollama://hf.co/Org/Name:Q4_K_M"},
	} {
		m, err := o.Resolve(t.Context(), ref, source.Options{})
		if err != nil || m.Name != want[0] || m.Reference != want[1] || m.Manifest.Kind != manifest.KindOllama || m.Digest != m.Manifest.Descriptor.Digest {
			t.Errorf("%s: %+v, %v", ref, m, err)
		}
	}
	m, err := o.Resolve(t.Context(), "llama3:8b", source.Options{})
	if err != nil || string(m.Manifest.Raw) != raw {
		t.Errorf("the manifest is %v, %v", m, err)
	}
	if m, err = o.Resolve(t.Context(), "llama3:8b", source.Options{Have: m.Digest}); err != nil || !m.Unchanged {
		t.Errorf("unchanged: %+v, %v", m, err)
	}
}

func TestOllamaStoreRefusesWhatIsNotRight(t *testing.T) {
	const at = "manifests/registry.ollama.ai/library/m/t"
	weights := "blobs/sha256-" + digest.FromString("GGUF").Encoded()
	for name, c := range map[string]struct {
		plant func(t *testing.T, dir string)
		want  error
	}{
		"an empty manifest": {func(t *testing.T, dir string) { write(t, dir, map[string]string{at: ""}) }, manifest.ErrMalformed},
		"no manifest":       {func(t *testing.T, dir string) { write(t, dir, map[string]string{at: "{}"}) }, manifest.ErrMalformed},
		"a digest that is a path": {func(t *testing.T, dir string) {
			write(t, dir, map[string]string{at: strings.Replace(ollama(t, dir, at, "GGUF"), "sha256:", "sha256:../../", 1)})
		}, manifest.ErrMalformed},
		"a manifest that is a link": {func(t *testing.T, dir string) {
			try(t, os.Remove(filepath.Join(dir, at)))
			symlink(t, "/etc/passwd", filepath.Join(dir, at))
		}, local.ErrPath},
		"a newer one that leads out": {func(t *testing.T, dir string) {
			symlink(t, "/etc/passwd", filepath.Join(dir, "manifests-v2/ollama.com/library/m/t"))
		}, local.ErrPath},
		"a newer one with other bytes": {func(t *testing.T, dir string) {
			hex := strings.Repeat("a", 64)
			write(t, dir, map[string]string{"blobs/sha256-" + hex: "{}"})
			symlink(t, "../../../../blobs/sha256-"+hex, filepath.Join(dir, "manifests-v2/ollama.com/library/m/t"))
		}, source.ErrDigest},
		"half a blob": {func(t *testing.T, dir string) { write(t, dir, map[string]string{weights: "GG"}) }, manifest.ErrMalformed},
		"a blob under way": {func(t *testing.T, dir string) {
			try(t, os.Rename(filepath.Join(dir, weights), filepath.Join(dir, weights+"-partial")))
		}, local.ErrNotFound},
		"a blob that is a link": {func(t *testing.T, dir string) {
			try(t, os.Rename(filepath.Join(dir, weights), filepath.Join(dir, "w")))
			symlink(t, filepath.Join(dir, "w"), filepath.Join(dir, weights))
		}, local.ErrPath},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			ollama(t, dir, at, "GGUF")
			c.plant(t, dir)
			if m, err := (local.OllamaStore{Dir: dir}).Resolve(t.Context(), "m:t", source.Options{}); !errors.Is(err, c.want) {
				t.Errorf("Resolve = %+v, %v; want %v", m, err, c.want)
			}
		})
	}
}

func TestOllamaStoreReferences(t *testing.T) {
	o := local.OllamaStore{Dir: t.TempDir()}
	for _, ref := range []string{"", ":", "a:", ":t", "a/b/c/d", "../x", "a/../b", "a..b", "h/n.n/m", "a b", "-a", "a:..", "a@b", "a\nb"} {
		if _, err := o.Resolve(t.Context(), ref, source.Options{}); !errors.Is(err, source.ErrReference) {
			t.Errorf("%q: %v, want ErrReference", ref, err)
		}
	}
	if _, err := o.Resolve(t.Context(), "none", source.Options{}); !errors.Is(err, local.ErrNotFound) {
		t.Errorf("a model that is not there: %v", err)
	}
	if _, err := o.List(t.Context()); !errors.Is(err, local.ErrPath) {
		t.Errorf("List of another folder: %v", err)
	}
}

func TestConformanceOfHFCache(t *testing.T) {
	files := map[string]string{"config.json": "{}", "sub/w.bin": strings.Repeat("weights!", sourcetest.MinLarge/8), "empty": ""}
	other := map[string]string{"config.json": "{ }", "sub/w.bin": "small"}
	sourcetest.Run(t, func(t *testing.T) sourcetest.World {
		dir := t.TempDir()
		hub(t, dir, "m", commit, files)
		write(t, dir, map[string]string{"models--m/refs/main": commit})
		return sourcetest.World{
			Source: local.HFCache{Dir: dir}, Ref: "m", Files: inBytes(files), OnDisk: true,
			Missing: []string{"none", "m@v2"}, WantMissing: fs.ErrNotExist,
			Malformed: []string{"", "../x"}, WantMalformed: source.ErrReference,
			Change: func(t *testing.T) map[string][]byte {
				hub(t, dir, "m", otherCommit, other)
				write(t, dir, map[string]string{"models--m/refs/main": otherCommit})
				return inBytes(other)
			},
		}
	})
}

func TestConformanceOfOllamaStore(t *testing.T) {
	weights := strings.Repeat("weights!", sourcetest.MinLarge/8)
	sourcetest.Run(t, func(t *testing.T) sourcetest.World {
		dir := t.TempDir()
		const at = "manifests/registry.ollama.ai/library/m/latest"
		ollama(t, dir, at, weights)
		return sourcetest.World{
			Source: local.OllamaStore{Dir: dir}, Ref: "m", Files: inBytes(map[string]string{"model.gguf": weights}), OnDisk: true,
			Missing: []string{"none", "m:v2"}, WantMissing: fs.ErrNotExist,
			Malformed: []string{"", "../x"}, WantMalformed: source.ErrReference,
			Change: func(t *testing.T) map[string][]byte {
				ollama(t, dir, at, "other")
				return inBytes(map[string]string{"model.gguf": "other"})
			},
		}
	})
}
