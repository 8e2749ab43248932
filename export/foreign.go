package export

import (
	"fmt"
	"strings"
)

// Layout is how a folder of models is laid out.
type Layout string

const (
	// LayoutFiles is the model's own files and nothing else.
	LayoutFiles Layout = "files"
	// LayoutOCI is an OCI image layout.
	LayoutOCI Layout = "oci"
	// LayoutHuggingFace is the cache of Hugging Face's libraries: what HF_HUB_CACHE points to.
	LayoutHuggingFace Layout = "hf"
	// LayoutOllama is Ollama's folder of models: what OLLAMA_MODELS points to.
	LayoutOllama Layout = "ollama"
)

// checkForeign refuses a folder that is laid out in another way already, and one that is a store, which has a door of
// its own.
func checkForeign(to folder, l Layout) error {
	entries, err := to.names(".")
	if err != nil {
		return err
	}
	names := make(map[string]bool, len(entries))
	hub := false
	for _, e := range entries {
		names[e.Name()] = true
		for _, kind := range []string{"models--", "datasets--", "spaces--"} {
			hub = hub || strings.HasPrefix(e.Name(), kind)
		}
	}
	is := ""
	switch {
	case names["store.json"] && names["tags"]:
		is = "a store of mstore: pull into it, or import"
	case names["oci-layout"] && l != LayoutOCI:
		is = "an OCI image layout"
	case (names["manifests"] || names["manifests-v2"]) && names["blobs"] && l != LayoutOllama:
		is = "Ollama's"
	case hub && l != LayoutHuggingFace:
		is = "a Hugging Face cache"
	case l == LayoutOCI && !names["oci-layout"] && (names["index.json"] || names["blobs"]):
		is = "no OCI image layout, and has files of the names of one"
	case l == LayoutOllama && !names["manifests"] && !names["manifests-v2"] && names["blobs"]:
		is = "not Ollama's, and has a folder of blobs"
	}
	if is == "" {
		return nil
	}
	return fmt.Errorf("%w: the folder is %s", ErrExists, is)
}
