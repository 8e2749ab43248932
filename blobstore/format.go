package blobstore

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/mstore/mstore/internal/durable"
	"github.com/mstore/mstore/internal/flock"
)

// Version is the version of the store's format that this package writes, and the newest it opens.
const Version = 1

const (
	formatFile = "store.json"
	indexFile  = "index.json"
)

// layout is every folder of a store, made with it. blobstore fills blobs, ingest, leases and trash; the others belong
// to the rooms they are named after and are made here so that a shared store has one mode throughout.
var layout = []string{"blobs/sha256", "ingest", "leases", "locks", "pins", "quarantine", "tags", "trash", "views"}

// format is store.json.
type format struct {
	Version int  `json:"version"`
	Shared  bool `json:"shared,omitempty"`
	Locks   bool `json:"locks"` // flock was found to exclude, when the store was made
}

// openFormat reads the format of the store at root, making the store when there is none.
func openFormat(root string, shared bool) (format, error) {
	info, err := os.Stat(root)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return create(root, shared)
	case err != nil:
		return format{}, err
	case !info.IsDir():
		return format{}, fmt.Errorf("%w: %s is a file", ErrNotStore, root)
	}
	f, err := readFormat(root)
	if errors.Is(err, fs.ErrNotExist) {
		if err := ownEmpty(root, info, shared); err != nil {
			return format{}, err
		}
		return create(root, shared)
	}
	if err != nil {
		return format{}, err
	}
	return f, checkOwner(root, info, f.Shared)
}

func readFormat(root string) (format, error) {
	path := filepath.Join(root, formatFile)
	file, err := openRegular(path)
	if err != nil {
		return format{}, err
	}
	defer func() { _ = file.Close() }()
	raw, err := readLimited(file, 64<<10)
	if err != nil {
		return format{}, fmt.Errorf("%s: %w", path, err)
	}
	var f format
	if err := json.Unmarshal(raw, &f); err != nil || f.Version < 1 {
		return format{}, fmt.Errorf("%w: %s is not readable as a store's format", ErrNotStore, path)
	}
	if f.Version > Version {
		return format{}, fmt.Errorf("%w: %s has version %d, this mstore knows up to %d", ErrNewer, root, f.Version, Version)
	}
	return f, nil
}

// ownEmpty tells whether the folder root may become a store: it is ours, and holds nothing but what an interrupted
// create may have left.
func ownEmpty(root string, info fs.FileInfo, shared bool) error {
	if err := checkOwner(root, info, shared); err != nil {
		return err
	}
	entries, err := os.ReadDir(root)
	if err != nil {
		return err
	}
	for _, e := range entries {
		ours := slices.ContainsFunc(layout, func(dir string) bool { return firstOf(dir) == e.Name() })
		if !ours && e.Name() != ocispec.ImageLayoutFile && e.Name() != indexFile && !durable.IsTemp(e.Name()) {
			return fmt.Errorf("%w: %s holds other files (%s)", ErrNotStore, root, e.Name())
		}
	}
	return nil
}

// create makes a store; store.json comes last, so that what has one is whole. Two processes may do it at once.
func create(root string, shared bool) (format, error) {
	perm := fs.FileMode(0o755)
	if shared {
		perm = fs.ModeSetgid | 0o775
	}
	for _, dir := range append([]string{"."}, layout...) {
		path := filepath.Join(root, filepath.FromSlash(dir))
		if err := durable.MkdirAll(path, 0o755); err != nil {
			return format{}, err
		}
		if !shared {
			continue
		}
		for ; len(path) >= len(root); path = filepath.Dir(path) { // blobs/sha256 is two folders
			if err := os.Chmod(path, perm); err != nil {
				return format{}, err
			}
		}
	}
	works, err := flock.Probe(filepath.Join(root, "locks"))
	if err != nil {
		return format{}, err
	}
	f := format{Version: Version, Shared: shared, Locks: works}
	return f, writeFormat(root, f)
}

func writeFormat(root string, f format) error {
	raw, err := json.Marshal(f)
	if err != nil {
		return err
	}
	const imageLayout = `{"imageLayoutVersion":"` + ocispec.ImageLayoutVersion + `"}` + "\n"
	const emptyIndex = `{"schemaVersion":2,"mediaType":"` + ocispec.MediaTypeImageIndex + `","manifests":[]}` + "\n"
	for _, file := range []struct{ name, content string }{
		{ocispec.ImageLayoutFile, imageLayout},
		{indexFile, emptyIndex},
		{formatFile, string(raw) + "\n"},
	} {
		path := filepath.Join(root, file.name)
		if _, err := os.Lstat(path); err == nil { // another process is ahead: its index may have tags by now
			continue
		}
		if err := durable.WriteFile(path, []byte(file.content), 0o644); err != nil {
			return err
		}
	}
	return nil
}

func firstOf(slashed string) string {
	for dir := slashed; ; dir = filepath.Dir(dir) {
		if filepath.Dir(dir) == "." {
			return dir
		}
	}
}
