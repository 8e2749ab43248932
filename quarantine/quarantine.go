// Package quarantine answers whether bytes may enter the store, and keeps those that may not.
//
// It owns the ward, <store>/quarantine: one folder a file that was taken out of the way, named by the sha256 the file
// really has, with the file and a report of why. The inspectors that judge a file by its format will come beside it,
// one package a format. The package knows nothing of networks, of tags, or of how blobs are kept.
//
// The life of a held file: somebody (a refused commit, a verify that found damage) calls [Ward.Hold]; from the moment
// its report is on disk a refused digest is withheld from every question; the file stays until a person takes it away.
package quarantine

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/mstore/mstore/internal/durable"
	"github.com/mstore/mstore/internal/key"
)

// ErrForeign reports that something which is not the ward's lies where the ward would write.
var ErrForeign = errors.New("not a folder of the quarantine")

const (
	dataName   = "data"
	reportName = "report.json"

	folderMode fs.FileMode = 0o777 // narrowed by the umask; who may enter is decided at the store's root
	reportMode fs.FileMode = 0o644
)

// Ward is the folder of held files. It keeps no state in memory: several processes and goroutines may use one folder.
type Ward struct{ dir string }

// Open makes the ward at dir, creating the folder.
func Open(dir string) (*Ward, error) {
	if err := durable.MkdirAll(dir, folderMode); err != nil {
		return nil, fmt.Errorf("open quarantine: %w", err)
	}
	return &Ward{dir}, nil
}

// Hold moves the regular file at path, which must be on the ward's file system, into the ward under the sha256 that
// its bytes have, whatever r says, and writes the report beside it. Both are durable on return.
//
// The report comes first: after a crash in between the digest is withheld already and Hold can be called again.
// A second report on one digest replaces the first, except that a corrupt one never replaces a refusal.
// The error is fs.ErrNotExist when path is not there, and the context's when it ends while the file is read.
func (w *Ward) Hold(ctx context.Context, path string, r Report) error {
	if err := w.hold(ctx, path, r); err != nil {
		return fmt.Errorf("quarantine %s: %w", path, err)
	}
	return nil
}

func (w *Ward) hold(ctx context.Context, path string, r Report) (err error) {
	f, err := openRegular(path)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	k, err := sum(ctx, f)
	if err != nil {
		return err
	}
	r.Digest = k.Digest()
	if r.Time.IsZero() {
		r.Time = time.Now().UTC()
	}
	dir, err := w.folder(k)
	if err != nil {
		return err
	}
	if err := r.write(filepath.Join(dir, reportName)); err != nil {
		return err
	}
	return durable.Publish(f, filepath.Join(dir, dataName))
}

// folder makes the folder of one digest.
func (w *Ward) folder(k key.Key) (string, error) {
	dir := k.In(w.dir)
	if err := durable.MkdirAll(dir, folderMode); err != nil {
		return "", err
	}
	info, err := os.Lstat(dir)
	if err == nil && !info.IsDir() {
		err = fmt.Errorf("%s: %w", dir, ErrForeign)
	}
	return dir, err
}

// Withheld tells whether the bytes of this digest were refused. Damaged bytes that were kept for study do not count:
// the digest they happen to have may be that of a good file. A report that is there but cannot be read or understood
// does count, because a refusal may be what it said; [Ward.List] names it.
func (w *Ward) Withheld(d digest.Digest) bool {
	k, err := key.Parse(d)
	if err != nil {
		return false
	}
	r, err := w.report(k)
	switch {
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, ErrForeign):
		return false
	case err != nil:
		return true
	}
	return r.Verdict == Refused
}

// List is every report, in the order of the digests. The error joins those of the reports that cannot be read; the
// others are returned beside it. What else lies in the folder is passed over.
func (w *Ward) List() ([]Report, error) {
	entries, err := os.ReadDir(w.dir)
	if err != nil {
		return nil, fmt.Errorf("list quarantine: %w", err)
	}
	var reports []Report
	var unreadable []error
	for _, e := range entries {
		k, err := key.ParseHex(e.Name())
		if err != nil || !e.IsDir() {
			continue
		}
		r, err := w.report(k)
		switch {
		case err == nil:
			reports = append(reports, r)
		case !errors.Is(err, fs.ErrNotExist) && !errors.Is(err, ErrForeign):
			unreadable = append(unreadable, err)
		}
	}
	return reports, errors.Join(unreadable...)
}

// report reads the report on one digest. The error is fs.ErrNotExist when there is none, and ErrForeign when what has
// its name is no file, or the folder of the digest no folder.
func (w *Ward) report(k key.Key) (Report, error) {
	dir := k.In(w.dir)
	r, err := readReport(filepath.Join(dir, reportName))
	if errors.Is(err, fs.ErrNotExist) { // nearly always, and every question to the store waits for it
		return Report{}, err
	}
	if info, err := os.Lstat(dir); err != nil || !info.IsDir() {
		return Report{}, errors.Join(fmt.Errorf("%s: %w", dir, ErrForeign), err)
	}
	if err == nil && r.Digest != k.Digest() {
		return Report{}, fmt.Errorf("the report on %s is about %s: %w", k, r.Digest, ErrReport)
	}
	return r, err
}

// openRegular opens a regular file for reading and never follows a link or waits at a pipe. The error is ErrForeign
// for everything that is there and is not a regular file.
func openRegular(path string) (*os.File, error) {
	named, err := os.Lstat(path)
	if errors.Is(err, syscall.ENOTDIR) || errors.Is(err, syscall.ELOOP) || err == nil && !named.Mode().IsRegular() {
		return nil, fmt.Errorf("%s is not a regular file: %w", path, ErrForeign)
	}
	if err != nil {
		return nil, err
	}
	f, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return nil, err
	}
	opened, err := f.Stat()
	if err == nil && !os.SameFile(named, opened) {
		err = fmt.Errorf("%s was replaced while it was opened: %w", path, ErrForeign)
	}
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return f, nil
}

// sum is the digest of all of f.
func sum(ctx context.Context, f *os.File) (key.Key, error) {
	h := sha256.New()
	if _, err := io.Copy(h, reader(func(p []byte) (int, error) {
		if err := ctx.Err(); err != nil {
			return 0, err
		}
		return f.Read(p)
	})); err != nil {
		return key.Key{}, err
	}
	return key.ParseHex(hex.EncodeToString(h.Sum(nil)))
}

type reader func(p []byte) (int, error)

func (r reader) Read(p []byte) (int, error) { return r(p) }
