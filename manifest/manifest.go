package manifest

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// Limits of what is read.
const (
	// MaxSize is the most bytes a manifest or index may have: what the distribution spec asks registries to accept.
	MaxSize = 4 << 20
	// MaxDescriptors is the most descriptors a list of one may have.
	MaxDescriptors = 100_000
	// MaxDepth is how many indexes may lead from one to the next before a manifest. Who follows them counts.
	MaxDepth = 4
)

// ErrMalformed is what every refusal of a manifest, index, config or draft is. The text around it says what and where.
var ErrMalformed = errors.New("malformed manifest")

// Docker's media types of what OCI calls image manifest and image index.
const (
	MediaTypeDockerManifest = "application/vnd.docker.distribution.manifest.v2+json"
	MediaTypeDockerList     = "application/vnd.docker.distribution.manifest.list.v2+json"
)

// Kind tells which world's conventions a manifest follows.
type Kind string

// The kinds.
const (
	KindModelPack Kind = "modelpack" // CNCF ModelPack, what Build makes
	KindArtifact  Kind = "artifact"  // any OCI artifact, its files named by titles as ORAS does
	KindDocker    Kind = "docker"    // Docker models, config v0.1 and v0.2
	KindOllama    Kind = "ollama"
	KindModelKit  Kind = "modelkit" // KitOps
	KindImage     Kind = "image"    // a container image: a stack of tar layers
)

// Archive tells how a layer must be unpacked.
type Archive string

// The archives.
const (
	NotArchive Archive = "" // the blob is the file
	Tar        Archive = "tar"
	TarGzip    Archive = "tar+gzip"
	TarZstd    Archive = "tar+zstd"
)

// Role is what a file is for, as far as the manifest tells; "" when it does not.
type Role string

// The roles.
const (
	RoleWeight    Role = "weight"
	RoleConfig    Role = "config" // what a runtime reads beside the weights: config.json, tokenizers, vocabularies
	RoleDoc       Role = "doc"
	RoleCode      Role = "code"
	RoleDataset   Role = "dataset"
	RoleLicense   Role = "license"
	RoleTemplate  Role = "template" // of the prompt
	RoleSystem    Role = "system"   // the system prompt
	RolePrompt    Role = "prompt"
	RoleParams    Role = "params"
	RoleMessages  Role = "messages"
	RoleAdapter   Role = "adapter"
	RoleProjector Role = "projector"
)

// File is one layer of a model as a file, or as an archive of files.
type File struct {
	// Path is safe, relative and slash-separated ([SafePath]). Of an archive it is the folder that the archive's
	// entries are named from, "" for the model's own folder.
	Path       string
	Role       Role
	Archive    Archive
	Descriptor ocispec.Descriptor
}

// Manifest is a manifest and what it means.
type Manifest struct {
	Descriptor   ocispec.Descriptor // media type, digest and size of Raw
	Raw          []byte             // the bytes as they came; the digest is of these
	Kind         Kind
	ArtifactType string
	Config       ocispec.Descriptor
	Layers       []ocispec.Descriptor // as listed, without inline data and foreign URLs
	Files        []File               // in the order of Layers; a layer that is no file has none
	Subject      *ocispec.Descriptor
	Annotations  map[string]string
}

// Parse reads an image manifest of OCI 1.1 or Docker schema 2. mediaType is what it was served or listed as, and must
// be what the body says; "" takes the body's word, and a body that says nothing is an OCI manifest.
// Parse keeps raw, which must not be changed afterwards. The error is [ErrMalformed]; where a file's name is the
// reason it is [ErrUnsafePath] too.
func Parse(mediaType string, raw []byte) (*Manifest, error) {
	d, err := readDocument(raw)
	if err != nil {
		return nil, err
	}
	mediaType, err = agree(mediaType, d.mediaType, ocispec.MediaTypeImageManifest, MediaTypeDockerManifest)
	switch {
	case err != nil:
		return nil, err
	case d.hasManifests:
		return nil, fmt.Errorf("%w: an image manifest with %q", ErrMalformed, "manifests")
	case d.config == nil:
		return nil, fmt.Errorf("%w: no config", ErrMalformed)
	}
	m := &Manifest{
		Descriptor: ocispec.Descriptor{MediaType: mediaType, Digest: digest.FromBytes(raw), Size: int64(len(raw))},
		Raw:        raw, ArtifactType: d.artifactType, Config: *d.config, Layers: d.layers,
		Subject: d.subject, Annotations: d.annotations,
	}
	m.Kind = kindOf(m)
	m.Files, err = nameFiles(m, d.names)
	if err != nil {
		return nil, err
	}
	return m, nil
}

// agree is the media type that the outside and the body say, which must be one of those known.
func agree(outside, body string, known ...string) (string, error) {
	switch {
	case outside == "" && body == "":
		return known[0], nil
	case outside == "":
		outside = body
	case body != "" && body != outside:
		return "", fmt.Errorf("%w: its mediaType is %q, but it came as %q", ErrMalformed, clip(body), clip(outside))
	}
	if !slices.Contains(known, outside) {
		return "", fmt.Errorf("%w: media type %q, want %s", ErrMalformed, clip(outside), strings.Join(known, " or "))
	}
	return outside, nil
}

// Blobs is what the manifest needs besides itself: config and layers, each digest once, in the order of the manifest.
func (m *Manifest) Blobs() []ocispec.Descriptor {
	blobs := make([]ocispec.Descriptor, 0, len(m.Layers)+1)
	seen := make(map[digest.Digest]struct{}, len(m.Layers)+1)
	add := func(d ocispec.Descriptor) {
		if _, had := seen[d.Digest]; !had {
			seen[d.Digest] = struct{}{}
			blobs = append(blobs, d)
		}
	}
	add(m.Config)
	for _, d := range m.Layers {
		add(d)
	}
	return blobs
}

// Size is the bytes of the manifest and of all its Blobs. It does not overflow: Parse refuses what would.
func (m *Manifest) Size() int64 {
	sum := m.Descriptor.Size
	for _, d := range m.Blobs() {
		sum += d.Size
	}
	return sum
}

// File is the file at path; archives are not found by it.
func (m *Manifest) File(path string) (File, bool) {
	for _, f := range m.Files {
		if f.Path == path && f.Archive == NotArchive {
			return f, true
		}
	}
	return File{}, false
}
