package mstore_test

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"maps"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/mstore/mstore"
	"github.com/mstore/mstore/fetch/registry"
	"github.com/mstore/mstore/manifest"
)

// foreign is a model as its world would push it.
type foreign struct {
	mediaType  string // of the manifest; empty: OCI's
	configType string
	config     doc
	layers     []foreignLayer
	kind       manifest.Kind
	files      []mstore.File     // as Show should tell them; Digest and Size are the layer's
	export     map[string]string // the files by path
}

type foreignLayer struct {
	mediaType string
	content   string
	path      string // of the annotation org.cncf.model.filepath, where there is one
}

func (l foreignLayer) descriptor() ocispec.Descriptor {
	desc := ocispec.Descriptor{MediaType: l.mediaType, Digest: digest.FromString(l.content), Size: int64(len(l.content))}
	if l.path != "" {
		desc.Annotations = map[string]string{manifest.AnnotationModelPackPath: l.path}
	}
	return desc
}

// archived is a tar+gzip of the files, with an entry for each folder as packers write them.
func archived(t *testing.T, folders []string, files map[string]string) string {
	t.Helper()
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	w := tar.NewWriter(z)
	for _, name := range folders {
		try(t, w.WriteHeader(&tar.Header{Typeflag: tar.TypeDir, Name: name + "/", Mode: 0o755}))
	}
	for _, name := range slices.Sorted(maps.Keys(files)) {
		try(t, w.WriteHeader(&tar.Header{Typeflag: tar.TypeReg, Name: name, Mode: 0o644, Size: int64(len(files[name]))}))
		_, err := w.Write([]byte(files[name]))
		try(t, err)
	}
	try(t, w.Close(), z.Close())
	return b.String()
}

// send pushes the model to the real registry, which checks that every blob is there.
func (f foreign) send(t *testing.T, ref string) digest.Digest {
	t.Helper()
	c := registry.New(registry.Options{})
	t.Cleanup(c.Close)
	target, err := c.Target(t.Context(), ref, registry.TargetOptions{})
	try(t, err)
	blob := func(mediaType string, content []byte) ocispec.Descriptor {
		desc := ocispec.Descriptor{MediaType: mediaType, Digest: digest.FromBytes(content), Size: int64(len(content))}
		_, err := target.PushBlob(t.Context(), desc, bytes.NewReader(content), nil)
		try(t, err)
		return desc
	}
	m := doc{"schemaVersion": 2, "mediaType": f.mediaType, "config": blob(f.configType, f.config.raw(t))}
	layers := make([]ocispec.Descriptor, 0, len(f.layers))
	for _, l := range f.layers {
		blob(l.mediaType, []byte(l.content))
		layers = append(layers, l.descriptor())
	}
	d, err := target.PushManifest(t.Context(), f.mediaType, m.with("layers", layers).raw(t))
	try(t, err)
	return d
}

func TestForeignKinds(t *testing.T) {
	for name, f := range map[string]foreign{
		"docker 0.1": dockerModel(), "docker 0.2": dockerModelOfFiles(), "ollama": ollamaModel(),
		"modelkit": modelKit(t), "modelkit, older": olderModelKit(t), "image": containerImage(t),
	} {
		t.Run(name, func(t *testing.T) {
			if f.mediaType == "" {
				f.mediaType = ocispec.MediaTypeImageManifest
			}
			ref := repo(t) + ":v1"
			pushed := f.send(t, ref)
			s := newStore(t)
			if p := pull(t, s, ref, once); p.Digest != pushed {
				t.Errorf("Pull = %s, pushed was %s", p.Digest, pushed)
			}
			f.wantIn(t, s, ref)
			before := look(t, s)
			if len(before.Blobs) != len(f.layers)+2 {
				t.Errorf("the store has %d blobs for %d layers, a config and a manifest", len(before.Blobs), len(f.layers))
			}
			_, err := s.GC(t.Context(), mstore.GCOptions{})
			try(t, err)
			if diff := cmp.Diff(before, look(t, s)); diff != "" {
				t.Errorf("a collection changed the store (-before +after):\n%s", diff)
			}
			wantExport(t, s, ref, folder(t, f.export))
		})
	}
}

// wantIn wants what Show and Export give to be what the model says.
func (f foreign) wantIn(t *testing.T, s *mstore.Store, ref string) {
	t.Helper()
	m, err := s.Show(t.Context(), ref)
	try(t, err)
	for i, l := range f.layers {
		f.files[i].Digest, f.files[i].Size = l.descriptor().Digest, l.descriptor().Size
	}
	if diff := cmp.Diff(f.files, m.Files); diff != "" || m.Kind != f.kind {
		t.Errorf("Show: kind %q, want %q; files (-want +got):\n%s", m.Kind, f.kind, diff)
	}
	wantExport(t, s, ref, folder(t, f.export))
}

func dockerModel() foreign {
	weights := "GGUF" + string(content(5000, 1))
	return foreign{
		configType: "application/vnd.docker.ai.model.config.v0.1+json",
		config:     doc{"config": doc{"format": "gguf", "architecture": "llama"}, "files": []doc{{"type": "application/vnd.docker.ai.gguf.v3"}}},
		layers: []foreignLayer{
			{"application/vnd.docker.ai.gguf.v3", weights, ""},
			{"application/vnd.docker.ai.license", "Apache", ""},
		},
		kind: manifest.KindDocker,
		files: []mstore.File{
			{Path: "model.gguf", Role: manifest.RoleWeight, Format: "gguf"},
			{Path: "license", Role: manifest.RoleLicense},
		},
		export: map[string]string{"model.gguf": weights, "license": "Apache"},
	}
}

func dockerModelOfFiles() foreign {
	weights := string(content(5000, 2))
	return foreign{
		configType: "application/vnd.docker.ai.model.config.v0.2+json",
		config:     doc{"config": doc{"format": "diffusers"}},
		layers: []foreignLayer{
			{"application/vnd.docker.ai.safetensors", weights, "text_encoder/model.safetensors"},
			{"application/vnd.docker.ai.model.file", "{}", "text_encoder/config.json"},
			{"application/vnd.docker.ai.dduf", "DDUF", ""},
		},
		kind: manifest.KindDocker,
		files: []mstore.File{
			{Path: "text_encoder/model.safetensors", Role: manifest.RoleWeight, Format: "safetensors"},
			{Path: "text_encoder/config.json", Role: manifest.RoleConfig, Format: "json"},
			{Path: "model.dduf", Role: manifest.RoleWeight, Format: "dduf"},
		},
		export: map[string]string{
			"text_encoder/model.safetensors": weights, "text_encoder/config.json": "{}", "model.dduf": "DDUF",
		},
	}
}

func ollamaModel() foreign {
	weights := "GGUF" + string(content(5000, 3))
	return foreign{
		mediaType:  manifest.MediaTypeDockerManifest,
		configType: "application/vnd.docker.container.image.v1+json",
		config:     doc{"model_format": "gguf", "model_family": "llama", "model_type": "3.2B", "file_type": "Q4_K_M"},
		layers: []foreignLayer{
			{"application/vnd.ollama.image.model", weights, ""},
			{"application/vnd.ollama.image.template", "{{ .Prompt }}", ""},
			{"application/vnd.ollama.image.params", `{"stop":["<|eot_id|>"]}`, ""},
			{"application/vnd.ollama.image.license", "one", ""},
			{"application/vnd.ollama.image.license", "two", ""},
		},
		kind: manifest.KindOllama,
		files: []mstore.File{
			{Path: "model.gguf", Role: manifest.RoleWeight, Format: "gguf"},
			{Path: "template", Role: manifest.RoleTemplate},
			{Path: "params.json", Role: manifest.RoleParams, Format: "json"},
			{Path: "license", Role: manifest.RoleLicense},
			{Path: "license-2", Role: manifest.RoleLicense},
		},
		export: map[string]string{
			"model.gguf": weights, "template": "{{ .Prompt }}", "params.json": `{"stop":["<|eot_id|>"]}`,
			"license": "one", "license-2": "two",
		},
	}
}

// modelKit is one whose Kitfile tells the digests of its layers: then the tars hold whole paths.
func modelKit(t *testing.T) foreign {
	t.Helper()
	weights := archived(t, []string{"models", "models/deep"}, map[string]string{"models/deep/m.onnx": "weights"})
	docs := archived(t, nil, map[string]string{"docs/card.md": "# card"})
	return foreign{
		configType: "application/vnd.kitops.modelkit.config.v1+json",
		config: doc{
			"manifestVersion": "1.0.0", "package": doc{"name": "kit"},
			"model": doc{"name": "m", "path": "./models/deep", "digest": digest.FromString(weights), "diffId": digest.FromString("m")},
			"docs":  []doc{{"path": "docs/card.md", "digest": digest.FromString(docs), "diffId": digest.FromString("d")}},
		},
		layers: []foreignLayer{
			{"application/vnd.kitops.modelkit.model.v1.tar+gzip", weights, ""},
			{"application/vnd.kitops.modelkit.docs.v1.tar+gzip", docs, ""},
		},
		kind: manifest.KindModelKit,
		files: []mstore.File{
			{Role: manifest.RoleWeight, Archive: manifest.TarGzip}, {Role: manifest.RoleDoc, Archive: manifest.TarGzip},
		},
		export: map[string]string{"models/deep/m.onnx": "weights", "docs/card.md": "# card"},
	}
}

// olderModelKit is one whose Kitfile tells no digests: then the tars hold the last name of the path alone.
func olderModelKit(t *testing.T) foreign {
	t.Helper()
	f := modelKit(t)
	f.config = doc{
		"manifestVersion": "1.0.0", "package": doc{"name": "kit"},
		"model": doc{"name": "m", "path": "./models/deep"}, "docs": []doc{{"path": "docs/card.md"}},
	}
	f.layers[0].content = archived(t, []string{"deep"}, map[string]string{"deep/m.onnx": "weights"})
	f.layers[1].content = archived(t, nil, map[string]string{"card.md": "# card"})
	f.files[0].Path, f.files[1].Path = "models", "docs"
	return f
}

// containerImage is one of two layers, of which the second replaces a file of the first.
func containerImage(t *testing.T) foreign {
	t.Helper()
	return foreign{
		configType: ocispec.MediaTypeImageConfig,
		config:     doc{"architecture": "amd64", "os": "linux", "rootfs": doc{"type": "layers", "diff_ids": []string{}}},
		layers: []foreignLayer{
			{ocispec.MediaTypeImageLayerGzip, archived(t, []string{"m"}, map[string]string{"m/a.gguf": "old", "m/gone": "x"}), ""},
			{ocispec.MediaTypeImageLayerGzip, archived(t, nil, map[string]string{"m/a.gguf": "new", "m/.wh.gone": ""}), ""},
		},
		kind:   manifest.KindImage,
		files:  []mstore.File{{Archive: manifest.TarGzip}, {Archive: manifest.TarGzip}},
		export: map[string]string{"m/a.gguf": "new"},
	}
}
