package manifest_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/mstore/mstore/manifest"
)

func TestReadConfig(t *testing.T) {
	tests := []struct {
		name   string
		kind   manifest.Kind
		config string
		want   manifest.Facts
	}{
		{
			"modelpack", manifest.KindModelPack,
			`{"descriptor":{"createdAt":"2025-01-01T00:00:00Z","authors":["x"],"family":"qwen2","name":"q","licenses":["MIT","BSD"],
			  "title":"T","revision":"abc","sourceURL":"https://x"},"config":{"architecture":"transformer","format":"safetensors","paramSize":"8b",
			  "precision":"bf16","quantization":"awq","capabilities":{"reasoning":true}},"modelfs":{"type":"layers","diffIds":[]}}`,
			manifest.Facts{
				Family: "qwen2", Name: "q", License: "MIT, BSD", Title: "T", Revision: "abc", Source: "https://x",
				Architecture: "transformer", Format: "safetensors", Parameters: "8b", Precision: "bf16", Quantization: "awq",
			},
		},
		{
			"docker, as the spec has it", manifest.KindDocker,
			`{"descriptor":{"createdAt":"2025-01-01T00:00:00Z"},"config":{"format":"gguf","format_version":"3",
			  "gguf":{"architecture":"llama","parameter_count":"1.10 B","quantization":"Q4_0"},"size":"635992801"},"files":[]}`,
			manifest.Facts{Format: "gguf", Architecture: "llama", Parameters: "1.10 B", Quantization: "Q4_0"},
		},
		{
			"docker, as the runner writes it", manifest.KindDocker,
			`{"config":{"format":"gguf","quantization":"IQ2_XXS/Q4_K_M","parameters":"361.82 M","architecture":"llama","size":"256.35 MiB",
			  "gguf":{"general.architecture":"llama"},"context_size":4096},"descriptor":{"created":"2025-04-01T00:00:00Z"},"rootfs":{"type":"rootfs","diff_ids":[]}}`,
			manifest.Facts{Format: "gguf", Architecture: "llama", Parameters: "361.82 M", Quantization: "IQ2_XXS/Q4_K_M"},
		},
		{
			"ollama", manifest.KindOllama,
			`{"model_format":"gguf","model_family":"llama","model_families":["llama"],"model_type":"3.2B","file_type":"Q4_K_M",
			  "architecture":"amd64","os":"linux","rootfs":{"type":"layers","diff_ids":[]}}`,
			manifest.Facts{Format: "gguf", Family: "llama", Parameters: "3.2B", Quantization: "Q4_K_M"},
		},
		{
			"modelkit", manifest.KindModelKit,
			`{"manifestVersion":"1.0.0","package":{"name":"p","version":"1","authors":["a"]},
			  "model":{"name":"m","path":"x","license":"MIT","framework":"onnx","digest":"sha256:x"}}`,
			manifest.Facts{Name: "p", Version: "1", License: "MIT", Format: "onnx"},
		},
		{"image", manifest.KindImage, `{"architecture":"amd64","os":"linux"}`, manifest.Facts{}},
		{"artifact", manifest.KindArtifact, `no JSON`, manifest.Facts{}},
		{"empty", manifest.KindOllama, `{}`, manifest.Facts{}},
	}
	for _, test := range tests {
		got, err := manifest.ReadConfig(&manifest.Manifest{Kind: test.kind}, []byte(test.config))
		if diff := cmp.Diff(test.want, got); err != nil || diff != "" {
			t.Errorf("%s: %v %s", test.name, err, diff)
		}
	}
}

func TestReadConfigRefuses(t *testing.T) {
	for _, kind := range []manifest.Kind{manifest.KindModelPack, manifest.KindDocker, manifest.KindOllama, manifest.KindModelKit} {
		for _, config := range []string{"", "x", "[]", `{"config":1,"package":1,"model_format":1}`, strings.Repeat(" ", manifest.MaxSize) + "{}"} {
			if _, err := manifest.ReadConfig(&manifest.Manifest{Kind: kind}, []byte(config)); !errors.Is(err, manifest.ErrMalformed) {
				t.Errorf("%s %.20q: %v", kind, config, err)
			}
		}
	}
}

// kit is a ModelKit of archives of the sorts.
func kit(t *testing.T, sorts ...string) *manifest.Manifest {
	t.Helper()
	m := &manifest.Manifest{Kind: manifest.KindModelKit}
	for i, sort := range sorts {
		f := manifest.File{Archive: manifest.Tar, Descriptor: ocispec.Descriptor{
			MediaType: "application/vnd.kitops.modelkit." + sort + ".v1.tar", Digest: digest.FromString(strings.Repeat(sort, i+1)),
		}}
		if sort == "prompt" {
			f.Role, f.Descriptor.MediaType = manifest.RolePrompt, "application/vnd.kitops.modelkit.code.v1.tar"
		}
		m.Files = append(m.Files, f)
	}
	return m
}

func TestWithConfigOfOlderModelKits(t *testing.T) {
	m := kit(t, "model", "modelpart", "modelpart", "code", "prompt", "code", "dataset", "docs", "docs")
	located, err := m.WithConfig([]byte(`{"manifestVersion":"1.0.0",
		"model":{"name":"m","path":"./models/big/model.bin","parts":[{"path":"parts/a"},{"path":"b"}]},
		"code":[{"path":"src/train.py"},{"path":"./"}],"prompts":[{"path":"prompts/x/p.md"}],
		"datasets":[{"path":"data//train.csv"}],"docs":[{"path":"README.md"}]}`))
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, f := range located.Files {
		got = append(got, f.Path)
	}
	want := []string{"models/big", "parts", "", "src", "prompts/x", "", "data", "", ""}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if m.Files[0].Path != "" {
		t.Error("WithConfig changed the manifest it was called on")
	}
}

func TestWithConfigOfNewerModelKits(t *testing.T) {
	m := kit(t, "model", "modelpart")
	config := `{"model":{"path":"models/m","digest":"` + string(m.Files[0].Descriptor.Digest) + `","parts":[{"path":"deep/p","digest":"DIGEST"}]}}`
	located, err := m.WithConfig([]byte(strings.Replace(config, "DIGEST", string(m.Files[1].Descriptor.Digest), 1)))
	if err != nil || located.Files[0].Path != "" || located.Files[1].Path != "" {
		t.Errorf("%v, %v; the tars hold whole paths", located, err)
	}
	if _, err := m.WithConfig([]byte(config)); !errors.Is(err, manifest.ErrMalformed) {
		t.Errorf("a Kitfile with another layer's digest: %v", err)
	}
}

func TestWithConfigOfAnotherKitsModel(t *testing.T) {
	m := kit(t, "modelpart")
	located, err := m.WithConfig([]byte(`{"model":{"path":"jozu.ml/org/kit:latest","parts":[{"path":"lora/a.bin"}]}}`))
	if err != nil || located.Files[0].Path != "lora" {
		t.Errorf("%v, %v", located, err)
	}
}

func TestWithConfigRefuses(t *testing.T) {
	for _, path := range []string{"../../etc/x", "/etc/x", "a/../../x", `C:\\x/y`, "CON/x"} {
		_, err := kit(t, "code").WithConfig([]byte(`{"code":[{"path":"` + path + `"}]}`))
		if !errors.Is(err, manifest.ErrMalformed) || !errors.Is(err, manifest.ErrUnsafePath) {
			t.Errorf("%s: %v", path, err)
		}
	}
	if _, err := kit(t, "code").WithConfig([]byte(`[]`)); !errors.Is(err, manifest.ErrMalformed) {
		t.Errorf("a Kitfile that is a list: %v", err)
	}
}

func TestWithConfigOfOtherKinds(t *testing.T) {
	m := &manifest.Manifest{Kind: manifest.KindOllama}
	if got, err := m.WithConfig([]byte("no JSON")); got != m || err != nil {
		t.Errorf("%v, %v; want it as it is", got, err)
	}
}
