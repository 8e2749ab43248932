package manifest_test

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/mstore/mstore/manifest"
)

func file(path string, size int64) manifest.File {
	return manifest.File{Path: path, Descriptor: ocispec.Descriptor{Digest: digest.FromString(path), Size: size}}
}

func draft(n int) manifest.Draft {
	d := manifest.Draft{Model: manifest.Facts{Name: "tiny", License: "MIT, Apache-2.0", Architecture: "llama"}}
	for i := range n {
		d.Files = append(d.Files, file(fmt.Sprintf("model-%05d-of-%05d.safetensors", i+1, n), int64(i)<<30))
	}
	return d
}

// TestBuildGolden holds the very bytes: a change of them gives every model that is imported again another digest.
func TestBuildGolden(t *testing.T) {
	d := manifest.Draft{
		Files:       []manifest.File{file("b/model.gguf", 1<<40), file("README.md", 10), file("a&b.json", 0)},
		Model:       manifest.Facts{Name: "tiny", License: "MIT", Parameters: "8b", Format: "gguf"},
		Annotations: map[string]string{"z": "1", "a": "2"},
	}
	m, config, err := manifest.Build(d)
	if err != nil {
		t.Fatal(err)
	}
	const (
		wantManifest = "sha256:000fec1084574a525da3f7f7a735bb304b5540b777d1f46c3cf90d6fa47c9fae"
		wantConfig   = `{"descriptor":{"name":"tiny","licenses":["MIT"]},"modelfs":{"type":"layers","diffIds":[` +
			`"sha256:b335630551682c19a781afebcf4d07bf978fb1f8ac04c6bf87428ed5106870f5",` +
			`"sha256:4572d8fddb92018ccf68eec6d5189338a8a3ece5f4315a121a397f071de5465f",` +
			`"sha256:7fd530ea086121ed2101660f8a960fcaeea0906e34f041cfed330a465b24d512"]},"config":{"format":"gguf","paramSize":"8b"}}`
	)
	if string(config) != wantConfig {
		t.Errorf("config %s\nwant   %s", config, wantConfig)
	}
	if m.Descriptor.Digest != wantManifest {
		t.Errorf("digest %s, want %s of\n%s", m.Descriptor.Digest, wantManifest, m.Raw)
	}
}

func TestBuildThenParse(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	rng := rand.New(rand.NewPCG(seed, 0))
	for range 200 {
		d := draft(0)
		want := make(map[string]manifest.File)
		for i := range 1 + rng.IntN(20) {
			f := file(randomPath(rng, i), rng.Int64N(1<<40))
			d.Files = append(d.Files, f)
			want[f.Path] = f
		}
		m, config, err := manifest.Build(d)
		if err != nil {
			t.Fatal(err)
		}
		rng.Shuffle(len(d.Files), func(i, j int) { d.Files[i], d.Files[j] = d.Files[j], d.Files[i] })
		again, _, err := manifest.Build(d)
		if err != nil || again.Descriptor.Digest != m.Descriptor.Digest {
			t.Fatalf("the same files in another order: %v, %s and %s", err, again.Descriptor.Digest, m.Descriptor.Digest)
		}
		parsed, err := manifest.Parse("", m.Raw)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(m, parsed); diff != "" {
			t.Fatal(diff)
		}
		checkBuilt(t, parsed, config, want)
	}
}

func checkBuilt(t *testing.T, m *manifest.Manifest, config []byte, want map[string]manifest.File) {
	t.Helper()
	if m.Kind != manifest.KindModelPack || m.Config.Digest != digest.FromBytes(config) || len(m.Files) != len(want) {
		t.Fatalf("kind %s, config %s, %d files of %d", m.Kind, m.Config.Digest, len(m.Files), len(want))
	}
	for _, f := range m.Files {
		w := want[f.Path]
		if f.Descriptor.Digest != w.Descriptor.Digest || f.Descriptor.Size != w.Descriptor.Size || f.Role == "" {
			t.Fatalf("%q is %v, want %v", f.Path, f, w)
		}
	}
	if !slices.IsSortedFunc(m.Files, func(a, b manifest.File) int { return strings.Compare(a.Path, b.Path) }) {
		t.Fatal("the files are not in the order of their paths")
	}
}

// randomPath is a safe path that differs from every other i's however it is folded.
func randomPath(rng *rand.Rand, i int) string {
	names := []string{"model.gguf", "config.json", "é", "模型 1.bin", "README", "a-b_c.py", "données.csv", "x"}
	return fmt.Sprintf("%s%d/%s", names[rng.IntN(len(names))], i, names[rng.IntN(len(names))])
}

func TestBuildFacts(t *testing.T) {
	d := draft(1)
	d.Model = manifest.Facts{
		Name: "n", Title: "t", Description: "d", Version: "v", Revision: "r", Vendor: "ve", License: "MIT, Apache-2.0",
		Source: "https://example.com/x", Family: "f", Architecture: "a", Format: "fo", Parameters: "8b", Precision: "bf16", Quantization: "q",
	}
	m, config, err := manifest.Build(d)
	if err != nil {
		t.Fatal(err)
	}
	got, err := manifest.ReadConfig(m, config)
	if diff := cmp.Diff(d.Model, got); err != nil || diff != "" {
		t.Error(err, diff)
	}
}

func TestBuildRoles(t *testing.T) {
	for path, want := range map[string]string{
		"model.safetensors": "weight", "a/b.GGUF": "weight", "pytorch_model.bin": "weight",
		"config.json": "weight.config", "tokenizer.model": "weight.config", "merges.txt": "weight.config", "x.jinja": "weight.config",
		"README.md": "doc", "LICENSE": "doc", "notes": "doc", "model_card.html": "doc",
		"modeling.py": "code", "kernel.cu": "code", "train.parquet": "dataset", "eval.jsonl": "dataset",
	} {
		m, _, err := manifest.Build(manifest.Draft{Files: []manifest.File{file(path, 1)}})
		if err != nil {
			t.Fatal(err)
		}
		if got := m.Layers[0].MediaType; got != "application/vnd.cncf.model."+want+".v1.raw" {
			t.Errorf("%s became %s, want %s", path, got, want)
		}
	}
	f := file("weights.txt", 1)
	f.Role = manifest.RoleWeight
	m, _, err := manifest.Build(manifest.Draft{Files: []manifest.File{f}})
	if err != nil || m.Files[0].Role != manifest.RoleWeight {
		t.Errorf("a role that was given is not kept: %v", err)
	}
}

func TestBuildSameFileTwice(t *testing.T) {
	d := draft(2)
	d.Files = append(d.Files, d.Files...)
	m, _, err := manifest.Build(d)
	if err != nil || len(m.Files) != 2 {
		t.Errorf("%v, %v", m, err)
	}
}

func TestBuildRefuses(t *testing.T) {
	archive, role, size, hash := file("a", 1), file("a", 1), file("a", -1), file("a", 1)
	archive.Archive, role.Role, hash.Descriptor.Digest = manifest.Tar, "villain", "sha256:../x"
	other := file("A", 1)
	huge := file("b", 1<<62)
	huge2 := file("c", 1<<62)
	tests := map[string]struct {
		files []manifest.File
		path  bool
	}{
		"nothing":   {nil, false},
		"archive":   {[]manifest.File{archive}, false},
		"role":      {[]manifest.File{role}, false},
		"size":      {[]manifest.File{size}, false},
		"digest":    {[]manifest.File{hash}, false},
		"sum":       {[]manifest.File{huge, huge2}, false},
		"path":      {[]manifest.File{file("../a", 1)}, true},
		"case":      {[]manifest.File{file("a", 1), other}, true},
		"folder":    {[]manifest.File{file("a/b", 1), file("a", 1)}, true},
		"no digest": {[]manifest.File{{Path: "a"}}, false},
	}
	for name, test := range tests {
		m, config, err := manifest.Build(manifest.Draft{Files: test.files})
		if !errors.Is(err, manifest.ErrMalformed) || errors.Is(err, manifest.ErrUnsafePath) != test.path || m != nil {
			t.Errorf("%s: %v, %s, %v", name, m, config, err)
		}
	}
}

func TestBuildTooLarge(t *testing.T) {
	var files []manifest.File
	for i := range 12_000 {
		files = append(files, file(fmt.Sprintf("%0200d", i), 1))
	}
	if _, _, err := manifest.Build(manifest.Draft{Files: files}); !errors.Is(err, manifest.ErrMalformed) {
		t.Errorf("a manifest of more than 4 MiB: %v", err)
	}
}
