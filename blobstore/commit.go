package blobstore

import (
	"context"
	"errors"
	"fmt"

	"github.com/opencontainers/go-digest"

	"github.com/mstore/mstore/internal/durable"
	"github.com/mstore/mstore/internal/key"
)

// Commit is the one door into the store: it verifies what lies in the file against the digest and size that were
// wanted, asks the keeper, and publishes the blob durably under its digest. When it returns nil the blob is in the
// store, survives a power cut, and is held by the lease. The ingest has then ended.
//
// It fails with ErrIncomplete, and the ingest goes on; with a [MismatchError], and the ingest starts over at zero; with
// ErrRefused or ErrWithheld, and the bytes are removed; or with an error of the file system, after which what was
// written is not trusted again.
func (in *Ingest) Commit(ctx context.Context) (Info, error) {
	got, err := in.Digest(ctx)
	if errors.Is(err, errReadBack) {
		err = errors.Join(err, in.Discard())
	}
	if err != nil {
		return Info{}, err
	}
	size, err := in.verify(got)
	if errors.Is(err, ErrMismatch) {
		return Info{}, errors.Join(err, in.startOver())
	}
	if err != nil {
		return Info{}, err
	}
	k, err := key.Parse(got)
	if err != nil {
		return Info{}, err
	}
	if err := in.admit(ctx, k, size); err != nil {
		return Info{}, err
	}
	if info, err := in.lease.Stat(got); err == nil && info.Size == size { // ingested under a name, and known by now
		return info, in.Discard()
	}
	if err := in.publish(k); err != nil {
		return Info{}, errors.Join(fmt.Errorf("publish %s: %w", k, err), in.Discard())
	}
	info, err := in.store.Stat(got)
	return info, errors.Join(err, in.Discard())
}

// verify compares the digest of the file, and its size as the file system has it.
func (in *Ingest) verify(got digest.Digest) (int64, error) {
	info, err := in.folder.data.Stat()
	if err != nil {
		return 0, err
	}
	in.mu.Lock()
	size := in.size
	in.mu.Unlock()
	wrong := in.want != (key.Key{}) && in.want.Digest() != got
	if wrong || info.Size() != size {
		return size, &MismatchError{Want: in.digestOrNone(), Got: got, WantSize: size, GotSize: info.Size()}
	}
	return size, nil
}

// errReadBack marks a file that does not give back what was written to it.
var errReadBack = errors.New("read back what was written")

// admit asks the keeper, holding the digest first: what is admitted may be relied on. What it says no to is removed;
// a question that was cut short is not an answer.
func (in *Ingest) admit(ctx context.Context, k key.Key, size int64) error {
	if err := in.lease.Hold(k.Digest()); err != nil {
		return err
	}
	if in.store.withheld(k.Digest()) {
		return errors.Join(fmt.Errorf("%w: %s", ErrWithheld, k), in.Discard())
	}
	if in.store.opts.Admit == nil {
		return ctx.Err()
	}
	err := in.store.opts.Admit(ctx, Candidate{Digest: k.Digest(), Size: size, Bytes: in.folder.data})
	if ctx.Err() != nil || err == nil {
		return ctx.Err()
	}
	return errors.Join(fmt.Errorf("%w: %w", ErrRefused, err), in.Discard())
}

// publish gives the data its mode and its name.
func (in *Ingest) publish(k key.Key) error {
	if err := in.store.setAside(k); err != nil {
		return err
	}
	if err := in.folder.data.Chmod(blobMode); err != nil {
		return err
	}
	return durable.Publish(in.folder.data, k.In(in.store.blobs()))
}

// startOver throws away what was written, so that the blob can be written again.
func (in *Ingest) startOver() error {
	in.mu.Lock()
	defer in.mu.Unlock()
	if in.ended {
		return nil
	}
	in.written, in.claimed, in.resumed = nil, nil, 0
	err := in.folder.restart(nil)
	in.hasher = startHasher(in)
	return err
}
