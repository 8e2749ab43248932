package export

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"syscall"

	"github.com/opencontainers/go-digest"

	"github.com/mstore/mstore/internal/durable"
	"github.com/mstore/mstore/manifest"
)

const (
	// recordName is the file in a view that says what was unpacked into it. A view without archives has none.
	recordName = ".mstore-view.json"
	maxRecord  = 256 << 20
)

// record is what a view had from archives when it was made.
type record struct {
	Archives []source   `json:"archives"`
	Entries  []recorded `json:"entries"`
}

// source is an archive as it was when it was unpacked: a blob that was repaired has another time.
type source struct {
	Digest digest.Digest `json:"digest"`
	Time   int64         `json:"time"` // of the last change, in nanoseconds since 1970
}

// recorded is a file or link that came out of an archive. Folders are not recorded: their times change.
type recorded struct {
	Path string `json:"path"`
	Size int64  `json:"size"`
	Time int64  `json:"time"`
	Link string `json:"link,omitempty"`
}

// sources is the archives of the model as they are now.
func (w *view) sources() ([]source, error) {
	var sources []source
	for _, a := range archivesOf(w.m) {
		info, err := w.views.store.Stat(a.Descriptor.Digest)
		if err != nil {
			return nil, err
		}
		sources = append(sources, source{info.Digest, info.ModTime.UnixNano()})
	}
	return sources, nil
}

// record writes the record of a tree into which only archives were unpacked.
func (w *view) record(tree folder) error {
	sources, err := w.sources()
	if err != nil {
		return err
	}
	r := record{Archives: sources, Entries: []recorded{}}
	err = tree.walk(func(p string, d fs.DirEntry) error {
		if d.IsDir() {
			return nil
		}
		entry, err := look(tree, p)
		r.Entries = append(r.Entries, entry)
		return err
	})
	if err != nil {
		return err
	}
	raw, err := json.Marshal(r)
	if err != nil {
		return err
	}
	f, err := tree.create(recordName, viewMode|0o200)
	if errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("%w: it unpacks to %q, which is the view's own", ErrUnsafe, recordName)
	}
	if err != nil {
		return err
	}
	_, err = durable.Write(f, raw)
	return errors.Join(err, f.Close())
}

// look is p as it would be recorded.
func look(in folder, p string) (recorded, error) {
	info, err := in.lookup(p)
	if err != nil {
		return recorded{}, err
	}
	r := recorded{Path: p, Size: info.Size(), Time: info.ModTime().UnixNano()}
	if info.Mode().Type() == fs.ModeSymlink {
		r.Link, err = in.root.Readlink(filepath.FromSlash(p))
	}
	return r, err
}

// asRecorded tells whether what was unpacked is there as it was, from the blobs that are there now.
func (w *view) asRecorded(have folder) (bool, error) {
	sources, err := w.sources()
	if err != nil || len(sources) == 0 {
		return err == nil, err
	}
	r, ok := readRecord(have)
	if !ok || !slices.Equal(r.Archives, sources) {
		return false, nil
	}
	for _, want := range r.Entries {
		if !filepath.IsLocal(filepath.FromSlash(want.Path)) {
			return false, nil
		}
		if got, err := look(have, want.Path); err != nil || got != want {
			return false, nil //nolint:nilerr // a file that cannot be seen is one more reason to make the view anew
		}
	}
	return true, nil
}

// readRecord reads the record of a view; ok is false when there is none that can be read.
func readRecord(have folder) (r record, ok bool) {
	info, err := have.lookup(recordName)
	if err != nil || !info.Mode().IsRegular() || info.Size() > maxRecord {
		return record{}, false
	}
	f, err := have.open(recordName, info)
	if err != nil {
		return record{}, false
	}
	defer func() { _ = f.Close() }()
	raw, err := io.ReadAll(io.LimitReader(f, maxRecord))
	if err != nil || json.Unmarshal(raw, &r) != nil {
		return record{}, false
	}
	return r, true
}

// wrong is the files of the view that are missing or are not what their blobs are.
func (w *view) wrong(ctx context.Context, have folder) ([]manifest.File, error) {
	var wrong []manifest.File
	for _, f := range filesOf(w.m) {
		right, err := w.right(ctx, have, f)
		if err != nil {
			return nil, err
		}
		if !right {
			wrong = append(wrong, f)
		}
	}
	return wrong, nil
}

func (w *view) right(ctx context.Context, have folder, f manifest.File) (bool, error) {
	b, err := w.views.store.Open(f.Descriptor.Digest)
	if err != nil {
		return false, fmt.Errorf("%s: %w", f.Path, err)
	}
	defer func() { _ = b.Close() }()
	info, err := have.lookup(f.Path)
	switch {
	case missing(err), errors.Is(err, errBlocked):
		return false, nil
	case err != nil:
		return false, err
	case !info.Mode().IsRegular():
		return false, nil
	}
	blob, err := b.File().Stat()
	if err != nil {
		return false, err
	}
	if os.SameFile(info, blob) {
		return !w.alone[f.Path], nil
	}
	right, err := rightCopy(ctx, have, f.Path, info, b.Digest(), blob)
	return right, ignoreMissing(err) // it was removed just now: then it is not right
}

// rightCopy tells whether a file that is no link is a copy of the blob. A copy has the time of the blob it was made
// from. One with another time (somebody wrote to it, or the blob was repaired, or only touched) is read in full, and
// gets the blob's time when its bytes are right.
func rightCopy(
	ctx context.Context, have folder, p string, info fs.FileInfo, want digest.Digest, blob fs.FileInfo,
) (bool, error) {
	if info.Size() != blob.Size() || info.Mode().Perm() != viewMode {
		return false, nil
	}
	if info.ModTime().Equal(blob.ModTime()) {
		return true, nil
	}
	got, err := sum(ctx, have, p, info)
	if err != nil || got != want {
		return false, err
	}
	err = have.root.Chtimes(filepath.FromSlash(p), blob.ModTime())
	if errors.Is(err, fs.ErrPermission) { // another user's copy: it is read in full each time
		err = nil
	}
	return err == nil, err
}

// isNotDir tells whether a rename failed because what is in the way is of another kind.
func isNotDir(err error) bool {
	return errors.Is(err, syscall.ENOTDIR) || errors.Is(err, syscall.EISDIR)
}
