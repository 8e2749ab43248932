package mstore

import (
	"fmt"
	"slices"
	"strings"

	"github.com/opencontainers/go-digest"

	"github.com/mstore/mstore/internal/key"
	"github.com/mstore/mstore/manifest/tags"
)

// forms is what an error about a reference says there is.
const forms = "host/repository[:tag][@sha256:...], oci://..., file:PATH, oci-layout:DIR[:tag], or the name of a model in the store"

// noRegistries are hosts whose models are not had by the OCI protocol; a name that begins with one is not a registry's.
var noRegistries = []string{"hf.co", "huggingface.co", "ollama.com"}

// world is what a reference speaks of.
type world int

const (
	inStore    world = iota // a name, and nothing else
	inRegistry              // an OCI registry
	onDisk                  // file:
	inLayout                // oci-layout:
)

// reference is a reference as it was typed, taken apart.
type reference struct {
	world world
	rest  string // without its scheme
}

// parseReference tells which world a reference speaks of.
func parseReference(typed string) (reference, error) {
	if rest, ok := strings.CutPrefix(typed, "file:"); ok && rest != "" {
		return reference{onDisk, rest}, nil
	}
	if rest, ok := strings.CutPrefix(typed, "oci-layout:"); ok && rest != "" {
		return reference{inLayout, rest}, nil
	}
	rest, registry := strings.CutPrefix(typed, "oci://")
	host, path, slash := strings.Cut(rest, "/")
	switch {
	case strings.Contains(rest, "://"), registry && (host == "" || path == ""), slices.Contains(noRegistries, host):
		return reference{}, usagef("%q is no reference: there are %s", typed, forms)
	case registry, slash && namesHost(host):
		return reference{inRegistry, rest}, nil
	}
	if _, _, err := parseName(typed); err != nil {
		return reference{}, usagef("%q is no reference: there are %s", typed, forms)
	}
	return reference{inStore, typed}, nil
}

// namesHost tells whether the first component of a reference is a host, as docker decides it.
func namesHost(first string) bool {
	return first == "localhost" || strings.ContainsAny(first, ".:")
}

// newName is the name that a model is to get. What it means is not for its name to say.
func newName(typed string) (string, error) {
	if strings.Contains(typed, "@sha256:") {
		return "", usagef("%q is no name for a model: a name that is given has no digest", typed)
	}
	name, _, err := parseName(typed)
	return name, err
}

// parseName is the name in the store of what was typed: "oci://" is dropped, a missing tag is "latest", and a digest
// behind a tag (as pull prints it) is pin, which the tag must mean.
func parseName(typed string) (name string, pin digest.Digest, err error) {
	name = strings.TrimPrefix(typed, "oci://")
	if at := strings.LastIndex(name, "@sha256:"); at >= 0 {
		k, err := key.Parse(digest.Digest(name[at+1:]))
		if err != nil {
			return "", "", fmt.Errorf("%w: %w", tags.ErrName, err)
		}
		name, pin = name[:at], k.Digest()
	}
	last := name[strings.LastIndexByte(name, '/')+1:]
	if strings.HasPrefix(name, "/") || strings.Contains(name, "//") || last == "" || strings.HasSuffix(last, ":") {
		return "", "", fmt.Errorf("%w: %q has an empty part", tags.ErrName, name)
	}
	if !strings.Contains(last, ":") {
		if pin != "" { // host/repository@sha256:...: that is the name
			return name + "@" + pin.String(), "", tags.CheckName(name + "@" + pin.String())
		}
		name += ":latest"
	}
	return name, pin, tags.CheckName(name)
}
