// Package local resolves models that lie on this machine: plain files and folders, OCI image layouts, and what Hugging
// Face's tools and Ollama have.
//
// All are sources of package source. [Files], [Paths] and [HFCache] hand over the paths of files, from which an ingest
// shares or copies the bytes; a manifest is built of them later. [Layout] and [OllamaStore] read a manifest from a folder
// that other tools wrote.
// Nothing is written, and nothing found in a folder is trusted: names are checked as those from the network are, and
// what is no regular file is refused and never opened.
package local

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/mstore/mstore/fetch/source"
	"github.com/mstore/mstore/manifest"
)

// ErrPath: no model can be made of what lies at a path. The text around it says which and why.
var ErrPath = errors.New("no model can be made of it")

const defaultTag = "latest"

// Files is the source of references file:PATH: a file is a model of itself, a folder is a model of what is in it.
// Resolve fails with ErrPath, manifest.ErrUnsafePath, fs.ErrNotExist or as the file system does.
type Files struct{}

// Resolve is [source.Source]. The model has the base name of the path, as tag "latest".
func (Files) Resolve(ctx context.Context, ref string, _ source.Options) (*source.Model, error) {
	return Paths{ref}.Resolve(ctx, "", source.Options{})
}

// Paths is a source of one model, made of several files, by their base names, and of what is in several folders.
// Its Resolve takes no reference. Two files of one name are ErrPath; otherwise it fails as Files does.
type Paths []string

// Resolve is [source.Source]. The name and the reference of a model of several paths are empty: nothing can ask for it
// again.
func (p Paths) Resolve(ctx context.Context, _ string, _ source.Options) (*source.Model, error) {
	c := &collection{from: make(map[string]string)}
	var abs string
	for _, path := range p {
		var err error
		if path == "" { // or it would be the working directory
			return nil, fmt.Errorf("%w: its path is empty", ErrPath)
		}
		if abs, err = filepath.Abs(path); err != nil {
			return nil, err
		}
		if err := c.add(ctx, abs); err != nil {
			return nil, err
		}
	}
	if len(c.files) == 0 {
		return nil, fmt.Errorf("%s: %w: there are no files", strings.Join(p, ", "), ErrPath)
	}
	if err := c.checkNames(); err != nil {
		return nil, err
	}
	m := &source.Model{Files: c.files}
	if len(p) == 1 {
		m.Name, m.Reference = nameOf(filepath.Base(abs)), "file:"+abs
	}
	return m, nil
}

// nameOf is a base name as a name in the store, which has a tag.
func nameOf(base string) string {
	if strings.Contains(base, ":") {
		return base
	}
	return base + ":" + defaultTag
}

// collection is the files that were found so far.
type collection struct {
	files []source.File
	from  map[string]string // where each path in the model came from
}

// add adds what the user named. A link that the user names is followed, whatever it leads to.
func (c *collection) add(ctx context.Context, path string) error {
	info, err := os.Stat(path)
	switch {
	case err != nil:
		return notThere(err)
	case info.IsDir():
		return c.folder(ctx, path, "")
	}
	return c.file(path, filepath.Base(path), info)
}

// folder adds what is in a folder, in the order of the names. prefix is the folder's path in the model.
func (c *collection) folder(ctx context.Context, dir, prefix string) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	for _, e := range entries {
		path, name := filepath.Join(dir, e.Name()), prefix+e.Name()
		info, err := os.Lstat(path)
		if err == nil && info.Mode().Type() == fs.ModeSymlink {
			info, err = followed(path)
		}
		switch {
		case err != nil:
			return err
		case info.IsDir():
			err = c.folder(ctx, path, name+"/")
		default:
			err = c.file(path, name, info)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// followed is the regular file that a link in a folder leads to. A link to a folder could lead in a circle, or to
// more than was meant.
func followed(path string) (fs.FileInfo, error) {
	info, err := os.Stat(path)
	if err == nil && info.IsDir() {
		err = fmt.Errorf("%s: %w: it is a link to a folder; name that folder itself", path, ErrPath)
	}
	return info, notThere(err)
}

// file adds one file under a name that is checked.
func (c *collection) file(path, name string, info fs.FileInfo) error {
	if !info.Mode().IsRegular() {
		return fmt.Errorf("%s: %w: it is %s", path, ErrPath, kindOf(info.Mode()))
	}
	safe, err := manifest.SafePath(name)
	if err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	if other, taken := c.from[safe]; taken {
		return fmt.Errorf("%s: %w: %s would have the same path in the model, %q", path, ErrPath, other, safe)
	}
	if len(c.files) == manifest.MaxDescriptors {
		return fmt.Errorf("%s: %w: a model has at most %d files", path, ErrPath, manifest.MaxDescriptors)
	}
	c.from[safe] = path
	c.files = append(c.files, source.File{
		Path: safe, Local: path, Descriptor: ocispec.Descriptor{Size: info.Size()},
	})
	return nil
}

// checkNames finds names that cannot be in one model, such as two that differ in case alone, before any byte is moved:
// it builds a manifest of the names.
func (c *collection) checkNames() error {
	draft := manifest.Draft{}
	for _, f := range c.files {
		desc := ocispec.Descriptor{Digest: digest.FromString(f.Path)}
		draft.Files = append(draft.Files, manifest.File{Path: f.Path, Descriptor: desc})
	}
	if _, _, err := manifest.Build(draft); err != nil {
		return fmt.Errorf("%w: %w", ErrPath, err)
	}
	return nil
}

func kindOf(mode fs.FileMode) string {
	switch {
	case mode&fs.ModeNamedPipe != 0:
		return "a pipe"
	case mode&fs.ModeSocket != 0:
		return "a socket"
	case mode&fs.ModeDevice != 0:
		return "a device"
	}
	return "no regular file"
}

// notThere makes a path through a file and a link in a circle what they are: no file of this name.
func notThere(err error) error {
	if errors.Is(err, syscall.ENOTDIR) || errors.Is(err, syscall.ELOOP) {
		return fmt.Errorf("%w: %w", fs.ErrNotExist, err)
	}
	return err
}
