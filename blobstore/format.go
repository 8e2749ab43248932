package blobstore

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

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

// initial is what the files of a new store hold besides store.json, by name, in the order in which they are made.
var initial = [][2]string{
	{ocispec.ImageLayoutFile, `{"imageLayoutVersion":"` + ocispec.ImageLayoutVersion + `"}` + "\n"},
	{indexFile, `{"schemaVersion":2,"mediaType":"` + ocispec.MediaTypeImageIndex + `","manifests":[]}` + "\n"},
}

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
		if err := checkOwner(root, info, shared); err != nil {
			return format{}, err
		}
		return createIn(root, shared)
	}
	if err == nil {
		err = checkOwner(root, info, f.Shared)
	}
	if err != nil {
		return format{}, err
	}
	return f, checkLayout(root, f.Shared)
}

// kept are the folders of the layout that are never empty of meaning: when one is gone, what it held is lost, and an
// empty one in its place would say that nothing is needed.
var kept = []string{"blobs/sha256", "pins", "tags"}

// checkLayout finds folders that a whole store has lost. Those that are empty in a store at rest (a copy may have left
// them out) are made again.
func checkLayout(root string, shared bool) error {
	var missing []string
	for _, dir := range layout {
		_, err := os.Lstat(filepath.Join(root, filepath.FromSlash(dir)))
		switch {
		case err == nil:
		case !errors.Is(err, fs.ErrNotExist):
			return err
		case slices.Contains(kept, dir):
			return fmt.Errorf("%w: %s has lost its folder %s", ErrDamaged, root, dir)
		default:
			missing = append(missing, dir)
		}
	}
	return makeFolders(root, missing, shared)
}

// createIn makes a store of a folder that is there, unless it holds anything else than what an interrupted create may
// have left.
func createIn(root string, shared bool) (format, error) {
	if err := checkLeftover(root); err != nil {
		if f, again := readFormat(root); again == nil { // another process has made the store while we looked
			return f, nil
		}
		return format{}, err
	}
	return create(root, shared)
}

func readFormat(root string) (format, error) {
	name := filepath.Join(root, formatFile)
	file, err := openRegular(name)
	if errors.Is(err, ErrCorrupt) {
		return format{}, fmt.Errorf("%w: %s is no file", ErrNotStore, name)
	}
	if err != nil {
		return format{}, err
	}
	defer func() { _ = file.Close() }()
	raw, err := readLimited(file, 64<<10)
	if err != nil {
		return format{}, fmt.Errorf("%s: %w", name, err)
	}
	var f format
	if err := json.Unmarshal(raw, &f); err != nil || f.Version < 1 {
		return format{}, fmt.Errorf("%w: %s is not readable as a store's format", ErrNotStore, name)
	}
	if f.Version > Version {
		return format{}, fmt.Errorf("%w: %s has version %d, this mstore knows up to %d", ErrNewer, root, f.Version, Version)
	}
	return f, nil
}

// checkLeftover fails when something lies in root that create does not put there: the folder is not ours to fill.
func checkLeftover(root string) error {
	return filepath.WalkDir(root, func(path string, e fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) { // another process, creating the store, had it for a moment
			return nil
		}
		if err != nil {
			return err
		}
		name, err := filepath.Rel(root, path)
		if err == nil && !isLeftover(root, filepath.ToSlash(name), e) {
			err = fmt.Errorf("%w: %s holds other files (%s)", ErrNotStore, root, name)
		}
		return err
	})
}

// isLeftover tells whether create makes an entry of this name, the slash-separated path below root.
func isLeftover(root, name string, e fs.DirEntry) bool {
	if e.IsDir() {
		return name == "." || slices.ContainsFunc(layout, func(dir string) bool {
			return dir == name || strings.HasPrefix(dir, name+"/")
		})
	}
	i := slices.IndexFunc(initial, func(file [2]string) bool { return file[0] == name })
	if i < 0 {
		return path.Dir(name) == "locks" || path.Dir(name) == "." && durable.IsTemp(name)
	}
	if !e.Type().IsRegular() {
		return false
	}
	raw, err := os.ReadFile(filepath.Join(root, name))
	return err == nil && string(raw) == initial[i][1]
}

// create makes a store; store.json comes last, so that what has one is whole. Of two processes that do it at once, one
// waits and takes what the other made.
func create(root string, shared bool) (format, error) {
	if err := makeFolders(root, append([]string{"."}, layout...), shared); err != nil {
		return format{}, err
	}
	unlock, err := flock.Lock(context.Background(), filepath.Join(root, "locks", "create"))
	if err != nil {
		return format{}, err
	}
	defer func() { _ = unlock() }()
	if f, err := readFormat(root); !errors.Is(err, fs.ErrNotExist) {
		return f, err
	}
	works, err := flock.Probe(filepath.Join(root, "locks"))
	if err != nil {
		return format{}, err
	}
	raw, err := json.Marshal(format{Version: Version, Shared: shared, Locks: works})
	if err != nil {
		return format{}, err
	}
	for _, file := range append(slices.Clone(initial), [2]string{formatFile, string(raw) + "\n"}) {
		if err := durable.WriteFile(filepath.Join(root, file[0]), []byte(file[1]), 0o644); err != nil {
			return format{}, err
		}
	}
	return readFormat(root)
}

func makeFolders(root string, dirs []string, shared bool) error {
	for _, dir := range dirs {
		folder := filepath.Join(root, filepath.FromSlash(dir))
		if err := durable.MkdirAll(folder, 0o755); err != nil {
			return err
		}
		if !shared {
			continue
		}
		for ; len(folder) >= len(root); folder = filepath.Dir(folder) { // blobs/sha256 is two folders
			if err := durable.ChmodPath(folder, fs.ModeSetgid|0o775); err != nil {
				return err
			}
		}
	}
	return nil
}
