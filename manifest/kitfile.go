package manifest

import (
	"fmt"
	"path"
	"slices"
	"strings"
)

// kitfile is the config of a KitOps ModelKit: which folder or file of the packer's machine each layer was made from.
type kitfile struct {
	Package struct {
		Name        string `json:"name"`
		Version     string `json:"version"`
		Description string `json:"description"`
		License     string `json:"license"`
	} `json:"package"`
	Model *struct {
		kitEntry
		Name      string     `json:"name"`
		License   string     `json:"license"`
		Framework string     `json:"framework"`
		Format    string     `json:"format"`
		Parts     []kitEntry `json:"parts"`
	} `json:"model"`
	Code     []kitEntry `json:"code"`
	Datasets []kitEntry `json:"datasets"`
	Docs     []kitEntry `json:"docs"`
	Prompts  []kitEntry `json:"prompts"`
}

// kitEntry is one layer. Kits that give the layer's digest have whole paths in their tars; older ones have only the
// last name of Path there.
type kitEntry struct {
	Path   string `json:"path"`
	Digest string `json:"digest"`
}

func (k *kitfile) facts() Facts {
	f := Facts{
		Name: k.Package.Name, Version: k.Package.Version, Description: k.Package.Description, License: k.Package.License,
	}
	if k.Model != nil {
		f.Name, f.License = first(f.Name, k.Model.Name), first(f.License, k.Model.License)
		f.Format = first(k.Model.Format, k.Model.Framework)
	}
	return f
}

// entries is the Kitfile's list for layers of one sort, in the order of the layers.
func (k *kitfile) entries(sort string, prompt bool) []kitEntry {
	switch {
	case sort == "model" && k.Model != nil && !isKitReference(k.Model.Path):
		return []kitEntry{k.Model.kitEntry}
	case sort == "modelpart" && k.Model != nil:
		return k.Model.Parts
	case sort == "code" && prompt:
		return k.Prompts
	case sort == "code":
		return k.Code
	case sort == "dataset":
		return k.Datasets
	case sort == "docs":
		return k.Docs
	}
	return nil
}

// isKitReference tells a model that is taken from another kit: then no layer is its.
func isKitReference(path string) bool {
	return path == "" || path[0] != '.' && path[0] != '/' && strings.ContainsAny(path, ":@")
}

// WithConfig is m with what only its config blob can tell of its files. That is the folder in which the archives of an
// older ModelKit (one whose Kitfile has no layer digests) unpack; every other manifest is returned as it is. The
// error is [ErrMalformed].
func (m *Manifest) WithConfig(config []byte) (*Manifest, error) {
	if m.Kind != KindModelKit {
		return m, nil
	}
	var k kitfile
	if err := readConfig(config, &k); err != nil {
		return nil, err
	}
	located := *m
	located.Files = slices.Clone(m.Files)
	nth := make(map[string]int)
	for i := range located.Files {
		f := &located.Files[i]
		sort, _, _ := strings.Cut(strings.TrimPrefix(f.Descriptor.MediaType, modelKitPrefix), ".")
		prompt := f.Role == RolePrompt
		key := fmt.Sprint(sort, prompt)
		entries, n := k.entries(sort, prompt), nth[key]
		nth[key]++
		if f.Archive == NotArchive || n >= len(entries) {
			continue
		}
		folder, err := entries[n].folder(f)
		if err != nil {
			return nil, err
		}
		f.Path = folder
	}
	return &located, nil
}

// folder is where the archive f, made from entry e, unpacks.
func (e kitEntry) folder(f *File) (string, error) {
	switch {
	case e.Digest != "" && e.Digest != string(f.Descriptor.Digest):
		return "", fmt.Errorf("%w: the Kitfile gives %s for %q, the manifest %s",
			ErrMalformed, clip(e.Digest), clip(e.Path), f.Descriptor.Digest)
	case e.Digest != "":
		return "", nil
	}
	folder := path.Dir(path.Clean(e.Path))
	if folder == "." {
		return "", nil
	}
	folder, err := SafePath(folder)
	if err != nil {
		return "", fmt.Errorf("%w: Kitfile: %w", ErrMalformed, err)
	}
	return folder, nil
}
