package export

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"path"
	"slices"
	"strings"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/mstore/mstore/blobstore"
	"github.com/mstore/mstore/internal/key"
	"github.com/mstore/mstore/manifest"
)

// OllamaName is a model's name as Ollama takes it apart. All four are needed.
type OllamaName struct {
	Host, Namespace, Model, Tag string
}

const (
	// OllamaHost is the host of the names that are written without one.
	OllamaHost = "registry.ollama.ai"
	// ollamaNewHost is the same in newer folders.
	ollamaNewHost = "ollama.com"

	maxOllamaHost = 350 // characters
	maxOllamaPart = 80
)

// check holds a name against Ollama's grammar. It has no path in it.
func (n OllamaName) check() error {
	for _, part := range []struct {
		text, more string
		most       int
	}{
		{n.Host, "-_.:", maxOllamaHost}, {n.Namespace, "-_", maxOllamaPart}, {n.Model, "-_.", maxOllamaPart}, {n.Tag, "-_.", maxOllamaPart},
	} {
		if !ollamaPart(part.text, part.more, part.most) {
			return fmt.Errorf("%w: Ollama has no model named %q: the part %q cannot be", ErrLayout, n, part.text)
		}
	}
	return nil
}

// String is the whole name.
func (n OllamaName) String() string { return path.Join(n.Host, n.Namespace, n.Model) + ":" + n.Tag }

func ollamaPart(s, more string, most int) bool {
	if s == "" || len(s) > most || strings.Contains(more, s[:1]) && s[0] != '_' {
		return false
	}
	const letters = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_"
	return strings.Trim(s, letters+more) == ""
}

// Ollama adds m to Ollama's folder of models in dir, made when it is missing, under the name that Ollama is to have for
// it. A model that is Ollama's keeps its manifest byte for byte. For another one that has one GGUF file of weights, and
// perhaps one of a projector, a manifest is made of these and its licences; its other files are left out.
//
// A name that is there is moved. It fails as Files does, and with ErrLayout for a model that Ollama cannot run and a
// name that it cannot have.
func Ollama(ctx context.Context, store *blobstore.Store, m *manifest.Manifest, dir string, name OllamaName, opts Options) error {
	if err := name.check(); err != nil {
		return err
	}
	o := &ollama{store: store, m: m, name: name}
	p := &plan{folder: "manifests", check: o.checkNewer}
	var err error
	if m.Kind == manifest.KindOllama {
		err = o.asIs(p)
	} else {
		err = o.convert(p)
	}
	if err != nil {
		return err
	}
	return lay(ctx, store, LayoutOllama, dir, p, opts)
}

// ollama is one export into Ollama's folder.
type ollama struct {
	store *blobstore.Store
	m     *manifest.Manifest
	name  OllamaName
}

// checkNewer refuses a name that is there in the form of newer versions, which would hide the one that is written.
func (o *ollama) checkNewer(e *exporter) error {
	host := o.name.Host
	if host == OllamaHost {
		host = ollamaNewHost
	}
	p := path.Join("manifests-v2", host, o.name.Namespace, o.name.Model, o.name.Tag)
	_, err := e.to.lookup(p)
	switch {
	case missing(err):
		return nil
	case err == nil:
		return fmt.Errorf("%w: %s has the name in Ollama's newer form: remove it there first", ErrExists, e.to.path(p))
	}
	return existsBlocked(err)
}

func (o *ollama) asIs(p *plan) error {
	for _, d := range o.m.Blobs() {
		if err := p.addOllama(d); err != nil {
			return err
		}
	}
	p.names = []text{{path: o.manifestPath(), data: o.m.Raw}}
	return nil
}

func (o *ollama) manifestPath() string {
	return path.Join("manifests", o.name.Host, o.name.Namespace, o.name.Model, o.name.Tag)
}

func (p *plan) addOllama(d ocispec.Descriptor) error {
	at, err := ollamaBlob(d.Digest)
	if err != nil || slices.ContainsFunc(p.blobs, func(f manifest.File) bool { return f.Path == at }) {
		return err
	}
	p.blobs = append(p.blobs, manifest.File{Path: at, Descriptor: d})
	return nil
}

func ollamaBlob(d digest.Digest) (string, error) {
	k, err := key.Parse(d)
	return "blobs/sha256-" + k.Hex(), err
}

// convert plans a manifest made of the files of a model that is not Ollama's.
func (o *ollama) convert(p *plan) error {
	layers, err := o.layers()
	if err != nil {
		return err
	}
	config, err := o.config(layers)
	if err != nil {
		return err
	}
	type layer struct {
		MediaType string        `json:"mediaType"`
		Digest    digest.Digest `json:"digest"`
		Size      int64         `json:"size"`
	}
	doc := struct {
		SchemaVersion int     `json:"schemaVersion"`
		MediaType     string  `json:"mediaType"`
		Config        layer   `json:"config"`
		Layers        []layer `json:"layers"`
	}{2, manifest.MediaTypeDockerManifest, layer{"application/vnd.docker.container.image.v1+json", digest.FromBytes(config), int64(len(config))}, nil}
	for _, l := range layers {
		doc.Layers = append(doc.Layers, layer{l.MediaType, l.Digest, l.Size})
		if err := p.addOllama(l); err != nil {
			return err
		}
	}
	raw, err := json.Marshal(doc)
	if err != nil {
		return err
	}
	at, err := ollamaBlob(doc.Config.Digest)
	p.texts = []text{{path: at, data: config}}
	p.names = []text{{path: o.manifestPath(), data: raw}}
	return err
}

// layers are what Ollama reads of the model, the weights first.
func (o *ollama) layers() ([]ocispec.Descriptor, error) {
	var models, projectors, licenses []manifest.File
	for _, f := range filesOf(o.m) {
		base := strings.ToLower(path.Base(f.Path))
		stem, _, _ := strings.Cut(base, ".")
		switch {
		case f.Role == manifest.RoleLicense, stem == "license", stem == "licence":
			licenses = append(licenses, f)
		case !strings.HasSuffix(base, ".gguf"):
		case f.Role == manifest.RoleProjector, strings.HasPrefix(base, "mmproj"):
			projectors = append(projectors, f)
		case f.Role == manifest.RoleAdapter:
			return nil, fmt.Errorf("%w: %q is an adapter, and which model it is for is not known", ErrLayout, f.Path)
		default:
			models = append(models, f)
		}
	}
	if len(models) != 1 || len(projectors) > 1 {
		return nil, fmt.Errorf("%w: Ollama runs a model of one GGUF file, and this one has %d (and %d of projectors)",
			ErrLayout, len(models), len(projectors))
	}
	var layers []ocispec.Descriptor
	for _, group := range []struct {
		files []manifest.File
		as    string
	}{{models, "model"}, {projectors, "projector"}, {licenses, "license"}} {
		for _, f := range group.files {
			if group.as != "license" {
				if err := o.checkGGUF(f); err != nil {
					return nil, err
				}
			}
			layers = append(layers, ocispec.Descriptor{
				MediaType: "application/vnd.ollama.image." + group.as, Digest: f.Descriptor.Digest, Size: f.Descriptor.Size,
			})
		}
	}
	return layers, nil
}

// checkGGUF looks at the first bytes of a file.
func (o *ollama) checkGGUF(f manifest.File) error {
	b, err := o.store.Open(f.Descriptor.Digest)
	if err != nil {
		return fmt.Errorf("%s: %w", f.Path, err)
	}
	defer func() { _ = b.Close() }()
	magic := make([]byte, 4)
	if _, err = io.ReadFull(b, magic); err != nil && !errors.Is(err, io.ErrUnexpectedEOF) && !errors.Is(err, io.EOF) {
		return fmt.Errorf("%s: %w", f.Path, err)
	}
	if !bytes.Equal(magic, []byte("GGUF")) {
		return fmt.Errorf("%w: %q has the name of a GGUF file and is none", ErrLayout, f.Path)
	}
	return nil
}

// config is what Ollama says of the model in its lists. What the model's own config does not say is left empty: Ollama
// takes it from the GGUF file when it loads that.
func (o *ollama) config(layers []ocispec.Descriptor) ([]byte, error) {
	var facts manifest.Facts
	raw, err := o.store.ReadAll(o.m.Config.Digest, manifest.MaxSize)
	if err == nil {
		facts, err = manifest.ReadConfig(o.m, raw)
	}
	if err != nil && !errors.Is(err, manifest.ErrMalformed) {
		return nil, err
	}
	family := facts.Architecture
	if family == "" {
		family = facts.Family
	}
	ids := make([]digest.Digest, 0, len(layers))
	for _, l := range layers {
		ids = append(ids, l.Digest)
	}
	families := []string{}
	if family != "" {
		families = append(families, family)
	}
	return json.Marshal(map[string]any{
		"model_format": "gguf", "model_family": family, "model_families": families, "model_type": facts.Parameters,
		"file_type": facts.Quantization, "architecture": "amd64", "os": "linux",
		"rootfs": map[string]any{"type": "layers", "diff_ids": ids},
	})
}
