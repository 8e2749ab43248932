package manifest

import (
	"strings"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// Media types and annotations, as their worlds write them.
const (
	// ArtifactTypeModelPack and the two below are CNCF ModelPack's (github.com/modelpack/model-spec).
	ArtifactTypeModelPack   = "application/vnd.cncf.model.manifest.v1+json"
	MediaTypeModelPackConf  = "application/vnd.cncf.model.config.v1+json"
	AnnotationModelPackPath = "org.cncf.model.filepath"

	modelPackPrefix = "application/vnd.cncf.model."

	// ORAS marks a layer that is a folder, packed with the folder's own name in front of each entry.
	annotationUnpack = "io.deis.oras.content.unpack"

	dockerConfigPrefix = "application/vnd.docker.ai.model.config."
	dockerPrefix       = "application/vnd.docker.ai."
	dockerImageConfig  = "application/vnd.docker.container.image.v1+json"

	ollamaPrefix = "application/vnd.ollama.image."

	modelKitArtifact  = "application/vnd.kitops.modelkit.manifest.v1+json"
	modelKitConfig    = "application/vnd.kitops.modelkit.config.v1+json"
	modelKitPrefix    = "application/vnd.kitops.modelkit."
	annotationSubtype = "ml.kitops.modelkit.layer-subtype"
)

func kindOf(m *Manifest) Kind {
	config := m.Config.MediaType
	switch {
	case m.ArtifactType == ArtifactTypeModelPack || config == MediaTypeModelPackConf:
		return KindModelPack
	case m.ArtifactType == modelKitArtifact || config == modelKitConfig:
		return KindModelKit
	case strings.HasPrefix(config, dockerConfigPrefix):
		return KindDocker
	}
	for _, l := range m.Layers {
		if strings.HasPrefix(l.MediaType, ollamaPrefix) {
			return KindOllama
		}
	}
	if config == ocispec.MediaTypeImageConfig || config == dockerImageConfig {
		return KindImage
	}
	return KindArtifact
}

// meaning is what one layer says of itself.
type meaning struct {
	path    string // as it was written, not yet checked; "" when a name must be made up
	stem    string // of a made-up name; "" for one made of the digest
	ext     string
	shards  bool // several of the stem are numbered as shards of one model
	archive Archive
	role    Role
}

// modelPackRoles is by the part of the media type between prefix and version.
var modelPackRoles = map[string]Role{
	"weight": RoleWeight, "weight.config": RoleConfig, "doc": RoleDoc, "code": RoleCode, "dataset": RoleDataset,
}

// modelKitRoles is by the same part. A model's parts are adapters, tokenizers and the like.
var modelKitRoles = map[string]Role{
	"model": RoleWeight, "modelpart": RoleConfig, "code": RoleCode, "dataset": RoleDataset, "docs": RoleDoc,
}

// dockerLayers is by the media type behind its prefix, with the names that the runner makes up.
var dockerLayers = map[string]meaning{
	"gguf.v3":             {stem: "model", ext: ".gguf", shards: true, role: RoleWeight},
	"gguf.v3.lora":        {stem: "adapter", ext: ".gguf", role: RoleAdapter},
	"gguf.v3.mmproj":      {stem: "mmproj", ext: ".gguf", role: RoleProjector},
	"mmproj":              {stem: "mmproj", ext: ".gguf", role: RoleProjector},
	"safetensors":         {stem: "model", ext: ".safetensors", shards: true, role: RoleWeight},
	"dduf":                {stem: "model", ext: ".dduf", role: RoleWeight},
	"vllm.config.tar":     {archive: Tar, role: RoleConfig},
	"dir.tar":             {archive: Tar},
	"license":             {stem: "license", role: RoleLicense},
	"chat.template.jinja": {stem: "template", ext: ".jinja", role: RoleTemplate},
}

// ollamaLayers is by the media type behind its prefix.
var ollamaLayers = map[string]meaning{
	"model":     {stem: "model", ext: ".gguf", role: RoleWeight},
	"adapter":   {stem: "adapter", ext: ".gguf", role: RoleAdapter},
	"projector": {stem: "mmproj", ext: ".gguf", role: RoleProjector},
	"draft":     {stem: "draft", ext: ".gguf", role: RoleWeight},
	"embed":     {stem: "embed", role: RoleConfig},
	"template":  {stem: "template", role: RoleTemplate},
	"prompt":    {stem: "prompt", role: RolePrompt},
	"system":    {stem: "system", role: RoleSystem},
	"params":    {stem: "params", ext: ".json", role: RoleParams},
	"messages":  {stem: "messages", ext: ".json", role: RoleMessages},
	"license":   {stem: "license", role: RoleLicense},
	"tensor":    {role: RoleWeight},
	"json":      {role: RoleConfig},
}

// meaningOf reads layer l of a manifest of the kind. name is the layer's own in Ollama's manifests.
func meaningOf(kind Kind, l ocispec.Descriptor, name string) meaning {
	switch kind {
	case KindModelPack:
		return modelPackLayer(l)
	case KindDocker:
		return dockerLayer(l)
	case KindOllama:
		return ollamaLayer(l, name)
	case KindModelKit:
		return modelKitLayer(l)
	case KindArtifact, KindImage:
		return titledLayer(l)
	}
	return titledLayer(l)
}

// modelPackLayer: a tar has its paths inside, and the annotation repeats them; a raw layer is named by it.
func modelPackLayer(l ocispec.Descriptor) meaning {
	sort, ok := strings.CutPrefix(l.MediaType, modelPackPrefix)
	if !ok {
		return titledLayer(l)
	}
	sort, format, _ := strings.Cut(sort, ".v1.")
	role := modelPackRoles[sort]
	if a := archiveOf(l.MediaType); a != NotArchive {
		return meaning{archive: a, role: role}
	}
	m := meaning{path: annotated(l, AnnotationModelPackPath, ocispec.AnnotationTitle), role: role}
	if format == "gguf" || format == "safetensors" { // older docker model-runner
		m.stem, m.ext, m.shards = "model", "."+format, true
	}
	return m.compressed(l.MediaType)
}

// dockerLayer: v0.2 names each file, v0.1 names none and the runner makes names up by type.
func dockerLayer(l ocispec.Descriptor) meaning {
	sort, ok := strings.CutPrefix(l.MediaType, dockerPrefix)
	if !ok {
		return titledLayer(l)
	}
	m := dockerLayers[sort]
	if m.archive != NotArchive {
		return m
	}
	m.path = annotated(l, AnnotationModelPackPath, ocispec.AnnotationTitle)
	if m.role == "" && m.path != "" {
		m.role = guessRole(m.path)
	}
	return m
}

// ollamaLayer: no layer has a name but those of models that are not GGUF, one a tensor and one a configuration file.
func ollamaLayer(l ocispec.Descriptor, name string) meaning {
	sort, ok := strings.CutPrefix(l.MediaType, ollamaPrefix)
	if !ok {
		return titledLayer(l)
	}
	m, ok := ollamaLayers[sort]
	if !ok || m.stem == "" {
		m.path = name
	}
	return m
}

// modelKitLayer: a tar has its paths inside, but for older kits, of which the Kitfile must be asked ([Manifest.WithConfig]).
func modelKitLayer(l ocispec.Descriptor) meaning {
	sort, ok := strings.CutPrefix(l.MediaType, modelKitPrefix)
	if !ok {
		return titledLayer(l)
	}
	sort, _, _ = strings.Cut(sort, ".")
	role := modelKitRoles[sort]
	if l.Annotations[annotationSubtype] == "prompt" {
		role = RolePrompt
	}
	if a := archiveOf(l.MediaType); a != NotArchive {
		return meaning{archive: a, role: role}
	}
	m := meaning{path: annotated(l, AnnotationModelPackPath, ocispec.AnnotationTitle), role: role}
	return m.compressed(l.MediaType)
}

// titledLayer: with a title it is that file, whatever its media type says (ORAS gives every file a tar's), or a folder
// where ORAS marks it; without one it is a layer of an image, or a file nobody named.
func titledLayer(l ocispec.Descriptor) meaning {
	path := annotated(l, ocispec.AnnotationTitle, AnnotationModelPackPath)
	archive := archiveOf(l.MediaType)
	switch {
	case l.Annotations[annotationUnpack] == "true":
		if archive == NotArchive {
			archive = TarGzip
		}
		return meaning{archive: archive}
	case path != "":
		return meaning{path: path, role: guessRole(path)}
	}
	return meaning{archive: archive}
}

// compressed gives the name of a compressed file, which stays as it is, the ending of its compression.
func (m meaning) compressed(mediaType string) meaning {
	ext := ""
	switch {
	case strings.HasSuffix(mediaType, "+gzip"):
		ext = ".gz"
	case strings.HasSuffix(mediaType, "+zstd"):
		ext = ".zst"
	}
	if m.path != "" && !strings.HasSuffix(m.path, ext) {
		m.path += ext
	}
	return m
}

// archiveOf goes by the ending, which OCI (tar+gzip) and Docker (tar.gzip) agree on across all their types.
func archiveOf(mediaType string) Archive {
	switch {
	case strings.HasSuffix(mediaType, ".tar"):
		return Tar
	case strings.HasSuffix(mediaType, ".tar+gzip"), strings.HasSuffix(mediaType, ".tar.gzip"):
		return TarGzip
	case strings.HasSuffix(mediaType, ".tar+zstd"), strings.HasSuffix(mediaType, ".tar.zstd"):
		return TarZstd
	}
	return NotArchive
}

// annotated is the first annotation of l among keys that says something.
func annotated(l ocispec.Descriptor, keys ...string) string {
	for _, key := range keys {
		if v := l.Annotations[key]; v != "" {
			return v
		}
	}
	return ""
}
