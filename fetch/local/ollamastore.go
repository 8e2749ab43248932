package local

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/mstore/mstore/fetch/source"
	"github.com/mstore/mstore/fetch/transfer"
	"github.com/mstore/mstore/internal/key"
	"github.com/mstore/mstore/manifest"
)

const (
	ollamaHost      = "registry.ollama.ai"
	ollamaSite      = "ollama.com" // the same, in names and in newer folders
	ollamaNamespace = "library"
	ollamaNewer     = "manifests-v2" // links to blobs; what is there hides what is in ollamaOlder
	ollamaOlder     = "manifests"
	ollamaPrefix    = "sha256-" // of blobs
)

// ollamaForm is HOST/NAMESPACE/MODEL:TAG, with nothing in it that a path could mistake.
var ollamaForm = regexp.MustCompile(`^[A-Za-z0-9_][A-Za-z0-9_.:-]{0,349}/[A-Za-z0-9_][A-Za-z0-9_-]{0,79}/[A-Za-z0-9_][A-Za-z0-9_.-]{0,79}:[A-Za-z0-9_][A-Za-z0-9_.-]{0,79}$`)

// OllamaStore is the source of the models in Ollama's folder: what OLLAMA_MODELS points to. References are
// [[HOST/]NAMESPACE/]MODEL[:TAG], as Ollama writes them. A manifest is kept byte for byte, so that the model has the
// digest that a pull from the registry gives it.
//
// Resolve fails with ErrPath for a manifest that is no regular file or leads out of the folder, manifest.ErrMalformed
// (also for an empty one, which a pull that was cut short leaves), ErrNotFound, source.ErrReference, or as the file
// system does. The bytes of the blobs are not looked at.
type OllamaStore struct{ Dir string }

// List is the references of all models in the folder, sorted. Whether each can be resolved is for Resolve to find out.
func (o OllamaStore) List(ctx context.Context) ([]string, error) {
	var refs []string
	found := false
	for _, sub := range []string{ollamaNewer, ollamaOlder} {
		root := filepath.Join(o.Dir, sub)
		err := filepath.WalkDir(root, func(p string, d fs.DirEntry, err error) error {
			if err == nil {
				err = ctx.Err()
			}
			if err != nil || d.IsDir() {
				return err
			}
			rel, err := filepath.Rel(root, p)
			if ref, ok := ollamaOfPath(filepath.ToSlash(rel)); ok {
				refs = append(refs, ref)
			}
			return err
		})
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return nil, err
		}
		found = found || err == nil
	}
	if !found {
		return nil, fmt.Errorf("%s: %w: it has no manifests of Ollama (%w)", o.Dir, ErrPath, fs.ErrNotExist)
	}
	slices.Sort(refs)
	return slices.Compact(refs), nil
}

// ollamaOfPath is the reference of HOST/NAMESPACE/MODEL/TAG.
func ollamaOfPath(p string) (ref string, ok bool) {
	base, tag := path.Split(p)
	whole := strings.TrimSuffix(base, "/") + ":" + tag
	if !ollamaForm.MatchString(whole) {
		return "", false
	}
	for _, host := range []string{ollamaHost, ollamaSite} {
		if rest, ok := strings.CutPrefix(whole, host+"/"); ok {
			return rest, true
		}
	}
	return whole, true
}

// parseOllama is the whole form of a reference.
func parseOllama(ref string) (whole string, err error) {
	base, tag := ref, defaultTag
	if colon := strings.LastIndexByte(ref, ':'); colon > strings.LastIndexByte(ref, '/') {
		base, tag = ref[:colon], ref[colon+1:]
	}
	switch strings.Count(base, "/") {
	case 0:
		base = ollamaHost + "/" + ollamaNamespace + "/" + base
	case 1:
		base = ollamaHost + "/" + base
	}
	if rest, ok := strings.CutPrefix(base, ollamaSite+"/"); ok {
		base = ollamaHost + "/" + rest
	}
	if whole = base + ":" + tag; !ollamaForm.MatchString(whole) || strings.Contains(whole, "..") {
		return "", fmt.Errorf("%w: %.200q is no [[HOST/]NAMESPACE/]MODEL[:TAG]", source.ErrReference, ref)
	}
	return whole, nil
}

// Resolve is [source.Source]. The model is named and has the reference as if it came from the registry, so that the
// registry is asked for it later.
func (o OllamaStore) Resolve(ctx context.Context, ref string, opts source.Options) (*source.Model, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	whole, err := parseOllama(ref)
	if err != nil {
		return nil, err
	}
	dir, err := filepath.Abs(o.Dir)
	if err != nil {
		return nil, err
	}
	m, err := ollamaFolder(dir).resolve(whole, opts)
	if err != nil {
		return nil, fmt.Errorf("%s in Ollama's folder %s: %w", ref, o.Dir, err)
	}
	return m, nil
}

// ollamaFolder is the absolute path of Ollama's folder.
type ollamaFolder string

func (o ollamaFolder) resolve(whole string, opts source.Options) (*source.Model, error) {
	raw, err := o.manifest(whole)
	if err != nil {
		return nil, err
	}
	model := &source.Model{Digest: digest.FromBytes(raw)}
	model.Name, model.Reference = whole, "ollama://"+whole
	if rest, ok := strings.CutPrefix(whole, ollamaHost+"/"); ok {
		model.Name, model.Reference = ollamaSite+"/"+rest, "ollama://"+rest
	}
	if model.Digest == opts.Have {
		model.Unchanged = true
		return model, nil
	}
	if model.Manifest, err = manifest.Parse("", raw); err != nil {
		return nil, err
	}
	for _, desc := range model.Manifest.Blobs() { // a cheap look, before any is brought in
		if _, err := (&Blob{o.blobPath, desc}).Path(); err != nil {
			return nil, fmt.Errorf("its download did not finish: %w", err)
		}
	}
	model.Origins = func(desc ocispec.Descriptor) []transfer.Origin { return []transfer.Origin{&Blob{o.blobPath, desc}} }
	return model, nil
}

// manifest is the bytes of a manifest. In the newer form it is a link to a blob.
func (o ollamaFolder) manifest(whole string) ([]byte, error) {
	name := strings.Replace(whole[:strings.LastIndexByte(whole, ':')], ollamaHost+"/", ollamaSite+"/", 1)
	tag := whole[strings.LastIndexByte(whole, ':')+1:]
	newer := filepath.Join(string(o), ollamaNewer, filepath.FromSlash(name), tag)
	if info, err := os.Lstat(newer); err == nil {
		if info.Mode().Type() == fs.ModeSymlink {
			return o.linked(newer)
		}
		return o.regular(newer)
	}
	older := filepath.Join(string(o), ollamaOlder, filepath.FromSlash(whole[:strings.LastIndexByte(whole, ':')]), tag)
	raw, err := o.regular(older)
	if errors.Is(err, fs.ErrNotExist) && strings.HasPrefix(whole, ollamaHost+"/") {
		if raw, err = o.regular(filepath.Join(string(o), ollamaOlder, filepath.FromSlash(name), tag)); err == nil {
			return raw, nil
		}
	}
	if errors.Is(err, fs.ErrNotExist) {
		return nil, ErrNotFound
	}
	return raw, err
}

func (ollamaFolder) regular(path string) ([]byte, error) {
	raw, err := readSmall(path, manifest.MaxSize)
	if err == nil && len(raw) == 0 {
		err = fmt.Errorf("%s: %w: it is empty, as an interrupted pull leaves it", path, manifest.ErrMalformed)
	}
	return raw, err
}

// linked reads the blob that a link is to, and holds it against the blob's name. The link itself is not followed.
func (o ollamaFolder) linked(path string) ([]byte, error) {
	to, err := os.Readlink(path)
	if err != nil {
		return nil, err
	}
	hex, ok := strings.CutPrefix(filepath.Base(to), ollamaPrefix)
	k, err := key.ParseHex(hex)
	if !ok || err != nil {
		return nil, fmt.Errorf("%s: %w: it is a link to something else than a blob", path, ErrPath)
	}
	at, err := o.blobPath(k.Digest())
	if err != nil {
		return nil, err
	}
	raw, err := o.regular(at)
	if err == nil && digest.FromBytes(raw) != k.Digest() {
		err = fmt.Errorf("%s: %w", at, source.ErrDigest)
	}
	return raw, err
}

func (o ollamaFolder) blobPath(d digest.Digest) (string, error) {
	k, err := key.Parse(d)
	if err != nil {
		return "", err
	}
	return filepath.Join(string(o), "blobs", ollamaPrefix+k.Hex()), nil
}
