package blobstore

import (
	"errors"
	"fmt"
	"io/fs"

	"github.com/opencontainers/go-digest"
)

// What a caller may have to decide on. A digest that is none in form gives the error of package internal/key.
var (
	// ErrNotFound: no blob of this digest is here. It is also fs.ErrNotExist.
	ErrNotFound error = sentinel{"blob not found", fs.ErrNotExist}
	// ErrExists: the blob that was to be ingested is here already. It is also fs.ErrExist.
	ErrExists error = sentinel{"blob is in the store", fs.ErrExist}
	// ErrMismatch: the bytes are not the ones that the digest names, see [MismatchError].
	ErrMismatch = errors.New("content does not match its digest")
	// ErrCorrupt: something lies under a blob's name that is no blob: a link, a folder, a pipe.
	ErrCorrupt = errors.New("not a blob")
	// ErrIncomplete: an ingest was committed before all its bytes were written.
	ErrIncomplete = errors.New("blob is not complete")
	// ErrRefused: the keeper of the store did not admit the bytes. The keeper's own error is in the chain.
	ErrRefused = errors.New("not admitted to the store")
	// ErrWithheld: the keeper answers for this digest, and it says no.
	ErrWithheld = errors.New("withheld: refused by inspection")
	// ErrNotStore: the folder is something else than a store.
	ErrNotStore = errors.New("not a store")
	// ErrDamaged: a store that was whole has lost a folder, and with it what is needed.
	ErrDamaged = errors.New("the store is damaged")
	// ErrNewer: the store was written by a later version of mstore.
	ErrNewer = errors.New("the store has a newer format")
	// ErrInsecure: other users could replace what is in the store, and nobody said that they may.
	ErrInsecure = errors.New("the store is open to other users")
)

// sentinel is an error that is a general one too, and does not say so in its text.
type sentinel struct {
	text    string
	general error
}

func (s sentinel) Error() string        { return s.text }
func (s sentinel) Is(target error) bool { return target == s.general }

// MismatchError tells what was wanted and what was there. Digests are empty and sizes negative where they are not
// known. It is [ErrMismatch].
type MismatchError struct {
	Want, Got         digest.Digest
	WantSize, GotSize int64
}

func (e *MismatchError) Error() string {
	switch {
	case e.WantSize >= 0 && e.GotSize >= 0 && e.WantSize != e.GotSize:
		return fmt.Sprintf("%v: %s has %d bytes, not %d", ErrMismatch, e.Want, e.GotSize, e.WantSize)
	default:
		return fmt.Sprintf("%v: want %s, got %s", ErrMismatch, e.Want, e.Got)
	}
}

// Is makes every MismatchError an ErrMismatch.
func (e *MismatchError) Is(target error) bool { return target == ErrMismatch }
