package mstore

import (
	"context"
	"fmt"
	"regexp"
	"strings"

	"github.com/mstore/mstore/export"
)

// export writes a model in the layout that was asked for.
func (s *Store) export(ctx context.Context, use *Use, dir string, o ExportOptions) error {
	opts := s.exporting(use, o.Mode)
	switch o.Layout {
	case export.LayoutFiles, "":
		return export.Files(ctx, s.blobs, use.manifest, dir, opts)
	case export.LayoutOCI:
		return export.OCI(ctx, s.blobs, use.manifest, dir, use.Name, opts)
	case export.LayoutHuggingFace:
		repo, err := repoOf(&use.Model)
		if err != nil {
			return err
		}
		return export.HuggingFace(ctx, s.blobs, use.manifest, dir, repo, opts)
	case export.LayoutOllama:
		name, err := ollamaName(use.Name)
		if err != nil {
			return err
		}
		return export.Ollama(ctx, s.blobs, use.manifest, dir, name, opts)
	}
	return usagef("%q is no layout of export", string(o.Layout))
}

const hubHost = "hf.co"

var commitForm = regexp.MustCompile(`^[0-9a-f]{40}$`)

// repoOf is what a model is called on a Hugging Face hub: what it was called where it came from, else org/name and the
// revision as its name in the store has them.
func repoOf(m *Model) (export.Repo, error) {
	var repo export.Repo
	if commitForm.MatchString(m.Source.Revision) {
		repo.Commit = m.Source.Revision
	}
	if id, ok := strings.CutPrefix(m.Source.Reference, "hf://"); ok {
		id, repo.Revision, _ = strings.Cut(id, "@")
		repo.ID, _, _ = strings.Cut(id, ":")
		return repo, nil
	}
	id, tag := cutTag(m.Name)
	id = strings.TrimPrefix(id, hubHost+"/")
	host, _, slash := strings.Cut(id, "/")
	if slash && namesHost(host) || strings.Count(id, "/") > 1 || strings.Contains(id, "@") {
		return repo, fmt.Errorf("%w: %q says no org/name of a Hugging Face hub", export.ErrLayout, m.Name)
	}
	if tag != defaultTag {
		repo.Revision = tag
	}
	repo.ID = id
	return repo, nil
}

const defaultTag = "latest"

// cutTag is a name in the store without its tag, and the tag.
func cutTag(name string) (base, tag string) {
	if colon := strings.LastIndexByte(name, ':'); colon > strings.LastIndexByte(name, '/') {
		return name[:colon], name[colon+1:]
	}
	return name, ""
}

// ollamaName is what Ollama is to call a model of the name in the store, by the rules of Ollama's own short names.
func ollamaName(name string) (export.OllamaName, error) {
	base, tag := cutTag(name)
	n := export.OllamaName{Host: export.OllamaHost, Namespace: "library", Tag: tag}
	parts := strings.Split(base, "/")
	if len(parts) > 1 && (len(parts) > 2 || namesHost(parts[0])) {
		n.Host, parts = parts[0], parts[1:]
	}
	if n.Host == "ollama.com" {
		n.Host = export.OllamaHost
	}
	if len(parts) == 2 {
		n.Namespace, parts = parts[0], parts[1:]
	}
	if len(parts) != 1 || strings.Contains(base, "@") {
		return n, fmt.Errorf("%w: %q is no name that Ollama can have, which is host/namespace/model:tag", export.ErrLayout, name)
	}
	n.Model = parts[0]
	return n, nil
}
