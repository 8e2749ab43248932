//go:build !linux

package clone

import "os"

// cloneFile cannot: macOS clones only to a name that is not there yet, and Windows only on ReFS.
func cloneFile(_, _ *os.File) error { return ErrUnsupported }
