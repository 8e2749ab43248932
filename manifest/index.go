package manifest

import (
	"errors"
	"fmt"
	"runtime"
	"slices"
	"strings"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

var (
	// ErrNoPlatform reports an index that has nothing for the platform that was asked for. Its text lists what there is.
	ErrNoPlatform = errors.New("no manifest for the platform")
	// ErrPlatform reports a string that is not os/architecture or os/architecture/variant.
	ErrPlatform = errors.New("not a platform")
)

// Index is an image index of OCI or a manifest list of Docker.
type Index struct {
	Descriptor  ocispec.Descriptor // media type, digest and size of Raw
	Raw         []byte             // the bytes as they came; the digest is of these
	Manifests   []ocispec.Descriptor
	Annotations map[string]string
}

// ParseIndex is Parse for an index.
func ParseIndex(mediaType string, raw []byte) (*Index, error) {
	d, err := readDocument(raw)
	if err != nil {
		return nil, err
	}
	mediaType, err = agree(mediaType, d.mediaType, ocispec.MediaTypeImageIndex, MediaTypeDockerList)
	switch {
	case err != nil:
		return nil, err
	case d.hasLayers || d.hasConfig:
		return nil, fmt.Errorf("%w: an index with %q or %q", ErrMalformed, "layers", "config")
	case !d.hasManifests:
		return nil, fmt.Errorf("%w: an index without %q", ErrMalformed, "manifests")
	}
	return &Index{
		Descriptor: ocispec.Descriptor{MediaType: mediaType, Digest: digest.FromBytes(raw), Size: int64(len(raw))},
		Raw:        raw, Manifests: d.manifests, Annotations: d.annotations,
	}, nil
}

// IsIndex tells whether ParseIndex is the one to read raw. A media type that is known decides, else the body's own,
// else the body's shape. Whether raw is well-formed is not asked.
func IsIndex(mediaType string, raw []byte) bool {
	if is, known := indexType(mediaType); known {
		return is
	}
	d := &document{}
	r := newReader(raw[:min(len(raw), MaxSize)])
	r.object(func(key string) { d.member(r, key) })
	if is, known := indexType(d.mediaType); known {
		return is
	}
	return d.hasManifests && !d.hasLayers
}

func indexType(mediaType string) (is, known bool) {
	switch mediaType {
	case ocispec.MediaTypeImageIndex, MediaTypeDockerList:
		return true, true
	case ocispec.MediaTypeImageManifest, MediaTypeDockerManifest:
		return false, true
	}
	return false, false
}

// Select is the entry for platform p, nil for this machine: same system and architecture, and the same variant where p
// has one, else the usual one of the architecture. Where nil finds nothing, Linux on this architecture will do: models
// are data. An entry that names no platform is taken when it is the only one, however often it is
// listed. Attestations are no entries. The error is [ErrNoPlatform].
func (x *Index) Select(p *ocispec.Platform) (ocispec.Descriptor, error) {
	var entries []ocispec.Descriptor
	for _, d := range x.Manifests {
		same := func(e ocispec.Descriptor) bool { return e.Digest == d.Digest && e.Platform == nil && d.Platform == nil }
		if !isAttestation(d) && !slices.ContainsFunc(entries, same) {
			entries = append(entries, d)
		}
	}
	wanted := []ocispec.Platform{{OS: runtime.GOOS, Architecture: runtime.GOARCH}, {OS: "linux", Architecture: runtime.GOARCH}}
	if p != nil {
		wanted = []ocispec.Platform{*p}
	}
	for _, w := range wanted {
		if d, ok := match(entries, w); ok {
			return d, nil
		}
	}
	if len(entries) == 1 && entries[0].Platform == nil {
		return entries[0], nil
	}
	return ocispec.Descriptor{}, fmt.Errorf("%w %s; there is %s", ErrNoPlatform, platformString(&wanted[0]), list(entries))
}

// match is the first entry that fits w best.
func match(entries []ocispec.Descriptor, w ocispec.Platform) (ocispec.Descriptor, bool) {
	for _, variant := range variants(w) {
		for _, d := range entries {
			q := d.Platform
			if q != nil && q.OS == w.OS && q.Architecture == w.Architecture && q.Variant == variant {
				return d, true
			}
		}
	}
	return ocispec.Descriptor{}, false
}

// usualVariants is what may stand in an entry where none was asked for, the best first.
var usualVariants = map[string][]string{"amd64": {"", "v1"}, "arm64": {"", "v8"}, "arm": {"", "v7", "v6", "v5"}}

// variants is what may stand in an entry for w, the best first.
func variants(w ocispec.Platform) []string {
	usual := usualVariants[w.Architecture]
	switch {
	case w.Variant == "" && usual != nil:
		return usual
	case w.Architecture == "arm64" && w.Variant == "v8", w.Architecture == "amd64" && w.Variant == "v1":
		return []string{w.Variant, ""} // which is what none means
	}
	return []string{w.Variant}
}

// isAttestation tells the statements that BuildKit lists beside the manifests they are about.
func isAttestation(d ocispec.Descriptor) bool {
	return d.Annotations["vnd.docker.reference.type"] == "attestation-manifest" ||
		d.Platform != nil && d.Platform.OS == "unknown" && d.Platform.Architecture == "unknown"
}

// list names the platforms of entries, a few of them.
func list(entries []ocispec.Descriptor) string {
	const most = 20
	var names []string
	for _, d := range entries {
		if name := platformString(d.Platform); !slices.Contains(names, name) && len(names) <= most {
			names = append(names, name)
		}
	}
	switch {
	case len(names) == 0:
		return "none"
	case len(names) > most:
		names[most] = "more"
	}
	return strings.Join(names, ", ")
}

func platformString(p *ocispec.Platform) string {
	if p == nil {
		return "one without platform"
	}
	s := clip(p.OS) + "/" + clip(p.Architecture)
	if p.Variant != "" {
		s += "/" + clip(p.Variant)
	}
	return s
}

// ParsePlatform reads os/architecture or os/architecture/variant, as in linux/arm64/v8. Case does not matter, and the
// names that uname(1) has for architectures are known. The error is [ErrPlatform].
func ParsePlatform(s string) (*ocispec.Platform, error) {
	const least, most = 2, 3
	parts := strings.Split(strings.ToLower(s), "/")
	if len(parts) < least || len(parts) > most {
		return nil, fmt.Errorf("%w: %q, want os/architecture or os/architecture/variant", ErrPlatform, clip(s))
	}
	for _, part := range parts {
		if part == "" || strings.Trim(part, "abcdefghijklmnopqrstuvwxyz0123456789_.-") != "" {
			return nil, fmt.Errorf("%w: %q", ErrPlatform, clip(s))
		}
	}
	p := &ocispec.Platform{OS: parts[0], Architecture: parts[1]}
	switch p.Architecture {
	case "x86_64", "x86-64":
		p.Architecture = "amd64"
	case "aarch64":
		p.Architecture = "arm64"
	}
	if len(parts) == most {
		p.Variant = parts[2]
	}
	return p, nil
}
