package mstore

import (
	"fmt"
	"strings"

	"github.com/opencontainers/go-digest"

	"github.com/mstore/mstore/fetch/hub"
	"github.com/mstore/mstore/fetch/ollama"
	"github.com/mstore/mstore/fetch/transfer"
	"github.com/mstore/mstore/fetch/web"
	"github.com/mstore/mstore/internal/key"
	"github.com/mstore/mstore/manifest/tags"
)

// forms is what an error about a reference says there is.
const forms = "host/repository[:tag][@sha256:...], oci://..., hf://org/name[@revision], hf.co/org/name[:quant], " +
	"ollama://name[:tag], https://host/path/file, file:PATH, oci-layout:DIR[:tag], or the name of a model in the store"

// world is what a reference speaks of.
type world int

const (
	inStore    world = iota // a name, and nothing else
	inRegistry              // an OCI registry
	inHub                   // the Hugging Face Hub
	inOllama                // Ollama's registry
	onWeb                   // a file at a URL
	onDisk                  // file:
	inLayout                // oci-layout:
)

// beginnings tell the worlds that have one. What is kept is part of the reference.
var beginnings = []struct {
	text  string
	world world
	keep  bool
}{
	{"file:", onDisk, false},
	{"oci-layout:", inLayout, false},
	{"hf://", inHub, false},
	{"hf.co/", inHub, false},
	{"huggingface.co/", inHub, false},
	{"ollama://", inOllama, false},
	{"ollama.com/", inOllama, false},
	{"registry.ollama.ai/", inOllama, true},
	{"https://", onWeb, true},
	{"http://", onWeb, true},
}

// reference is a reference as it was typed, taken apart.
type reference struct {
	world world
	rest  string // without its scheme
}

// parseReference tells which world a reference speaks of.
func parseReference(typed string) (reference, error) {
	for _, b := range beginnings {
		if rest, ok := strings.CutPrefix(typed, b.text); ok && rest != "" {
			if b.keep {
				rest = typed
			}
			return reference{b.world, rest}, nil
		}
	}
	rest, registry := strings.CutPrefix(typed, "oci://")
	host, path, slash := strings.Cut(rest, "/")
	switch {
	case strings.Contains(rest, "://"), registry && (host == "" || path == ""):
		return reference{}, usagef("%q is no reference: there are %s", transfer.Clean(typed), forms)
	case registry, slash && namesHost(host):
		return reference{inRegistry, rest}, nil
	}
	if _, _, err := parseName(typed); err != nil {
		return reference{}, usagef("%q is no reference: there are %s", typed, forms)
	}
	return reference{inStore, typed}, nil
}

// name is what the store calls what a reference names; empty where only its source can tell.
func (r reference) name() (string, error) {
	switch r.world {
	case inStore, inRegistry:
		name, _, err := parseName(r.rest)
		return name, err
	case inHub:
		ref, err := hub.ParseReference(r.rest)
		if err != nil {
			return "", err
		}
		return ref.Name(), nil
	case inOllama:
		ref, err := ollama.ParseReference(r.rest)
		if err != nil {
			return "", err
		}
		return ref.Name(), nil
	case onWeb:
		name, err := web.NameOf(r.rest)
		if err != nil {
			return "", nil //nolint:nilerr // the server may say what its file is called, else the pull says what is wrong
		}
		return name, nil
	case onDisk, inLayout:
	}
	return "", nil
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
