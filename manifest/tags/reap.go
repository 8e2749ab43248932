package tags

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/mstore/mstore/internal/durable"
)

// Reap removes the unfinished files of writers that were killed, in the folders that tags are written to, when they
// were not touched for the time keep. A writer takes milliseconds, so that any keep of minutes is safe.
func (t *Tags) Reap(keep time.Duration) error {
	var errs []error
	for _, dir := range []string{t.tagDir(), t.pinDir(), filepath.Dir(t.indexPath())} {
		entries, err := os.ReadDir(dir)
		errs = append(errs, err)
		for _, e := range entries {
			if !durable.IsTemp(e.Name()) || !e.Type().IsRegular() {
				continue
			}
			info, err := e.Info()
			if err == nil && time.Since(info.ModTime()) > keep {
				err = os.Remove(filepath.Join(dir, e.Name()))
			}
			if !errors.Is(err, fs.ErrNotExist) {
				errs = append(errs, err)
			}
		}
	}
	return errors.Join(errs...)
}
