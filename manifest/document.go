package manifest

import (
	"fmt"
	"math"
	"strings"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// schemaVersion is what OCI and Docker manifests alike must say.
const schemaVersion = 2

// document is a manifest or an index as it was written, checked for form alone.
type document struct {
	schema       int64
	mediaType    string
	artifactType string
	config       *ocispec.Descriptor
	layers       []ocispec.Descriptor
	names        []string // of the layers, "" where there is none: Ollama's own field
	manifests    []ocispec.Descriptor
	subject      *ocispec.Descriptor
	annotations  map[string]string

	// Keys that are there, whatever their value: they tell a manifest from an index.
	hasConfig, hasLayers, hasManifests bool
}

// readDocument reads a manifest or index. The error is ErrMalformed.
func readDocument(raw []byte) (*document, error) {
	if len(raw) > MaxSize {
		return nil, fmt.Errorf("%w: %d bytes, and a manifest has at most %d", ErrMalformed, len(raw), MaxSize)
	}
	r, d := newReader(raw), &document{}
	r.object(func(key string) { d.member(r, key) })
	if err := r.end(); err != nil {
		return nil, err
	}
	if d.schema != schemaVersion {
		return nil, fmt.Errorf("%w: schemaVersion is %d, want %d", ErrMalformed, d.schema, schemaVersion)
	}
	return d, d.checkSizes()
}

func (d *document) member(r *reader, key string) {
	switch key {
	case "schemaVersion":
		d.schema = r.integer()
	case "mediaType":
		d.mediaType = r.text()
	case "artifactType":
		d.artifactType = r.text()
	case "config":
		d.hasConfig = true
		d.config = r.optionalDescriptor()
	case "layers":
		d.hasLayers = true
		d.layers, d.names = r.descriptors()
	case "manifests":
		d.hasManifests = true
		d.manifests, _ = r.descriptors()
	case "subject":
		d.subject = r.optionalDescriptor()
	case "annotations":
		d.annotations = r.annotations()
	case "fsLayers":
		r.fail("a Docker manifest of schema 1")
	default:
		r.foreign(key, "schemaVersion", "mediaType", "artifactType", "config", "layers", "manifests", "subject",
			"annotations", "fsLayers")
	}
}

// foreign skips the value of a key that means nothing here. A key that differs from a known one by case alone is
// refused: Go's own JSON package, and what is built on it, would take it for the known one.
func (r *reader) foreign(key string, known ...string) {
	for _, k := range known {
		if strings.EqualFold(key, k) {
			r.fail("the key %q is %q in another case", clip(key), k)
		}
	}
	r.skip()
}

func (r *reader) optionalDescriptor() *ocispec.Descriptor {
	if r.null() {
		return nil
	}
	d, _ := r.descriptor()
	return &d
}

// descriptors reads a list of descriptors, and the names that Ollama gives some.
func (r *reader) descriptors() (ds []ocispec.Descriptor, names []string) {
	if r.null() {
		return nil, nil
	}
	const usual = 256 // bytes of a descriptor with two annotations
	room := (len(r.s) - r.at) / usual
	ds, names = make([]ocispec.Descriptor, 0, room), make([]string, 0, room)
	r.array(func() {
		if len(ds) == MaxDescriptors {
			r.fail("more than %d descriptors", MaxDescriptors)
			return
		}
		d, name := r.descriptor()
		ds, names = append(ds, d), append(names, name)
	})
	return ds, names
}

// descriptor reads one descriptor. Inline data and foreign URLs are skipped: bytes come from where the model comes from.
func (r *reader) descriptor() (d ocispec.Descriptor, name string) {
	d.Size = -1
	r.object(func(key string) {
		switch key {
		case "mediaType":
			d.MediaType = r.text()
		case "digest":
			d.Digest = r.digest()
		case "size":
			d.Size = r.size()
		case "annotations":
			d.Annotations = r.annotations()
		case "artifactType":
			d.ArtifactType = r.text()
		case "platform":
			d.Platform = r.platform()
		case "name":
			name = r.optionalText()
		case "urls", "data":
			r.skip()
		default:
			r.foreign(key, "mediaType", "digest", "size", "annotations", "artifactType", "platform", "name", "urls", "data")
		}
	})
	switch {
	case d.Digest == "":
		r.fail("a descriptor without digest")
	case d.Size < 0:
		r.fail("the descriptor of %s has no size", d.Digest)
	case d.MediaType == "":
		r.fail("the descriptor of %s has no mediaType", d.Digest)
	}
	return d, name
}

func (r *reader) digest() digest.Digest {
	s := r.text()
	if r.err == nil && !isDigest(s) {
		r.fail("%q is not a sha256 digest", clip(s))
	}
	return digest.Digest(s)
}

// size reads a number of bytes. 2^62 is a number like any other: nothing is allocated by it.
func (r *reader) size() int64 {
	n := r.integer()
	if n < 0 {
		r.fail("a size of %d bytes", n)
	}
	return n
}

func (r *reader) optionalText() string {
	if r.null() {
		return ""
	}
	return r.text()
}

func (r *reader) annotations() map[string]string {
	if r.null() {
		return nil
	}
	m := make(map[string]string)
	r.object(func(key string) { m[key] = r.text() })
	return m
}

func (r *reader) platform() *ocispec.Platform {
	if r.null() {
		return nil
	}
	p := &ocispec.Platform{}
	r.object(func(key string) {
		switch key {
		case "os":
			p.OS = r.text()
		case "architecture":
			p.Architecture = r.text()
		case "variant":
			p.Variant = r.text()
		case "os.version":
			p.OSVersion = r.text()
		default:
			r.foreign(key, "os", "architecture", "variant", "os.version")
		}
	})
	return p
}

// isDigest is the one check of digests here: ^sha256:[a-f0-9]{64}$ and nothing wider.
func isDigest(s string) bool {
	const hexLen = 64
	hex, ok := strings.CutPrefix(s, "sha256:")
	if !ok || len(hex) != hexLen {
		return false
	}
	for i := range len(hex) {
		if c := hex[i]; c-'0' > 9 && c-'a' > 'f'-'a' {
			return false
		}
	}
	return true
}

// checkSizes refuses a digest that has two sizes, and sizes whose sum is no number of bytes.
func (d *document) checkSizes() error {
	sizes := make(map[digest.Digest]int64, len(d.layers)+len(d.manifests)+2)
	var sum int64
	add := func(desc *ocispec.Descriptor) error {
		size, had := sizes[desc.Digest]
		switch {
		case had && size != desc.Size:
			return fmt.Errorf("%w: %s has %d bytes and %d bytes", ErrMalformed, desc.Digest, size, desc.Size)
		case had:
			return nil
		case desc.Size > math.MaxInt64-MaxSize-sum: // room for the bytes of the manifest itself
			return fmt.Errorf("%w: the sizes add up to more than %d bytes", ErrMalformed, math.MaxInt64)
		}
		sizes[desc.Digest] = desc.Size
		sum += desc.Size
		return nil
	}
	for _, one := range []*ocispec.Descriptor{d.config, d.subject} {
		if one != nil {
			if err := add(one); err != nil {
				return err
			}
		}
	}
	for _, list := range [][]ocispec.Descriptor{d.layers, d.manifests} {
		for i := range list {
			if err := add(&list[i]); err != nil {
				return err
			}
		}
	}
	return nil
}
