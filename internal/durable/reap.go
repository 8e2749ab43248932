package durable

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"time"
)

// Reap removes from dir what writers that were killed left: files with the name of an unfinished WriteFile that were not
// written to for the time keep. A writer takes milliseconds, so that any keep of minutes is safe. A dir that is not there
// has none. Nothing is synced: what comes back with a power cut is removed again.
func Reap(dir string, keep time.Duration) error {
	entries, err := os.ReadDir(dir)
	errs := []error{ignoreMissing(err)}
	for _, e := range entries {
		if !IsTemp(e.Name()) || !e.Type().IsRegular() {
			continue
		}
		info, err := e.Info()
		if err == nil && time.Since(info.ModTime()) > keep {
			err = Delete(filepath.Join(dir, e.Name()))
		}
		if !errors.Is(err, fs.ErrNotExist) {
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}
