package tags

import (
	"errors"
	"path/filepath"
	"time"

	"github.com/mstore/mstore/internal/durable"
)

// Reap removes the unfinished files of writers that were killed, in the folders that tags are written to, when they
// were not touched for the time keep. A writer takes milliseconds, so that any keep of minutes is safe.
func (t *Tags) Reap(keep time.Duration) error {
	var errs []error
	for _, dir := range []string{t.tagDir(), t.pinDir(), filepath.Dir(t.indexPath())} {
		errs = append(errs, durable.Reap(dir, keep))
	}
	return errors.Join(errs...)
}
