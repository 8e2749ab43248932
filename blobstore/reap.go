package blobstore

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// ReapIngests removes what dead processes left in ingest/: at once what nobody can resume, the rest when it was not
// written to for the time keep. It returns how many bytes that freed. Ingests of living processes are left alone. Of a
// blob that has a raw and a packed form, as a kill may leave it, it removes the packed one.
func (s *Store) ReapIngests(keep time.Duration) (freed int64, err error) {
	var errs []error
	for _, dir := range s.partials("") {
		resumable := !strings.HasPrefix(filepath.Base(dir), anonymous)
		if resumable && time.Since(lastWrite(dir)) < keep {
			continue
		}
		n, err := s.reapIngest(dir)
		freed += n
		errs = append(errs, err)
	}
	n, err := s.reapForms()
	return freed + n, errors.Join(append(errs, err)...)
}

func (s *Store) reapIngest(dir string) (freed int64, err error) {
	unlock, f, err := s.claimPartial(dir)
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, ErrCorrupt) {
		// Its process was killed before it could say whose it is, or is about to.
		if time.Since(lastWrite(dir)) < deadAfter {
			return 0, nil
		}
		return 0, removePartial(dir)
	}
	if err != nil || f == alive {
		return 0, err
	}
	if info, err := os.Lstat(filepath.Join(dir, dataFile)); err == nil {
		freed = info.Size()
	}
	return freed, errors.Join(removePartial(dir), unlock())
}
