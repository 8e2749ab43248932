//go:build failpoints

package flock

import (
	"os"
	"syscall"
)

// refusal says that a lock is not to be taken: MSTORE_FLOCK=ENOLCK makes every flock fail with that, and
// MSTORE_FLOCK=nothing makes each succeed and do nothing.
func refusal() (refused bool, err error) {
	switch os.Getenv("MSTORE_FLOCK") {
	case "ENOLCK":
		return true, syscall.ENOLCK
	case "nothing":
		return true, nil
	}
	return false, nil
}
