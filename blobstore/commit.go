package blobstore

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/mstore/mstore/internal/durable"
	"github.com/mstore/mstore/internal/key"
)

// Commit is the one door into the store: it verifies what lies in the file against the digest and size that were
// wanted, asks the keeper, and publishes the blob durably under its digest. When it returns nil the blob is in the
// store, survives a power cut, and is held by the lease. The ingest has then ended.
//
// It fails with ErrIncomplete, and the ingest goes on; with ctx's error, and it can be committed again; with a
// [MismatchError], and the ingest starts over at zero; with ErrRefused or ErrWithheld, and the bytes are removed; or
// with an error of the file system, after which what was written is not trusted again. Once ended it is fs.ErrClosed.
func (in *Ingest) Commit(ctx context.Context) (Info, error) {
	in.door.Lock()
	defer in.door.Unlock()
	if err := in.seal(); err != nil {
		return Info{}, err
	}
	defer in.unseal()
	k, size, err := in.verify(ctx)
	if err != nil {
		return Info{}, err
	}
	if err := in.admit(ctx, k, size); err != nil {
		return Info{}, err
	}
	have, err := in.lease.Stat(k.Digest())
	if err == nil && have.Size == size && !have.Packed() { // ingested under a name, and known by now
		return have, in.discard()
	}
	if err := in.publish(k); err != nil {
		return Info{}, errors.Join(fmt.Errorf("publish %s: %w", k, err), in.discard())
	}
	if have.Packed() {
		if _, err := in.store.giveUp(k, in.store.packedPath(k), in.store.rawPath(k)); err != nil {
			return Info{}, errors.Join(err, in.discard())
		}
	}
	info, err := in.lease.Stat(k.Digest())
	return info, errors.Join(err, in.discard())
}

// seal ends the writing of a whole ingest: when it returns nil, nothing in the file changes any more.
func (in *Ingest) seal() error {
	off, n := in.Missing()
	in.mu.Lock()
	ended := in.ended
	in.sealed = !ended && n == 0
	in.mu.Unlock()
	switch {
	case ended:
		return os.ErrClosed
	case n != 0:
		return fmt.Errorf("%w: from byte %d on", ErrIncomplete, off)
	}
	in.writers.Wait()
	return nil
}

func (in *Ingest) unseal() {
	in.mu.Lock()
	defer in.mu.Unlock()
	in.sealed = false
}

// verify compares the digest of the file, and its size as the file system has it. A file that is not right is begun
// anew, and one that does not give back what was written to it is removed.
func (in *Ingest) verify(ctx context.Context) (key.Key, int64, error) {
	got, hashed, err := in.hashed(ctx)
	if errors.Is(err, errReadBack) {
		err = errors.Join(err, in.discard())
	}
	if err != nil {
		return key.Key{}, 0, err
	}
	info, err := in.folder.data.Stat()
	if err != nil {
		return key.Key{}, 0, err
	}
	wrong := in.want != (key.Key{}) && in.want.Digest() != got
	if size := in.knownSize(); wrong || hashed != size || info.Size() != size {
		err := &MismatchError{Want: in.digestOrNone(), Got: got, WantSize: size, GotSize: info.Size()}
		return key.Key{}, 0, errors.Join(err, in.startOver())
	}
	if in.confirm != nil {
		if err := in.confirm(hashed, io.NewSectionReader(in.folder.data, 0, hashed)); err != nil {
			return key.Key{}, 0, errors.Join(fmt.Errorf("%w: %w", ErrMismatch, err), in.startOver())
		}
	}
	k, err := key.Parse(got)
	return k, hashed, err
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
		return errors.Join(fmt.Errorf("%w: %s", ErrWithheld, k), in.discard())
	}
	if in.store.opts.Admit == nil {
		return ctx.Err()
	}
	err := in.store.opts.Admit(ctx, Candidate{Digest: k.Digest(), Size: size, Bytes: in.folder.data})
	if ctx.Err() != nil || err == nil {
		return ctx.Err()
	}
	return errors.Join(fmt.Errorf("%w: %w", ErrRefused, err), in.discard())
}

// publish gives the data its mode and its name, unless a sync of it has failed before: a later one would not say so.
func (in *Ingest) publish(k key.Key) error {
	if err := in.folder.settle(); err != nil {
		return err
	}
	if err := in.store.setAside(k); err != nil {
		return err
	}
	if err := durable.Chmod(in.folder.data, blobMode); err != nil {
		return err
	}
	return durable.Publish(in.folder.data, in.store.rawPath(k))
}

// startOver throws away what was written, so that the blob can be written again, in a folder of its own: what the old
// one says is durable must not be believed of new bytes. Without a folder the ingest ends.
func (in *Ingest) startOver() error {
	err := in.folder.remove()
	folder, newErr := in.store.newPartial(in.id)
	if newErr != nil {
		in.end()
		return errors.Join(err, newErr, in.unlock())
	}
	in.mu.Lock()
	defer in.mu.Unlock()
	in.folder = folder
	in.written, in.claimed, in.resumed, in.size = nil, nil, 0, in.wantSize
	in.hasher = startHasher(in, mark{})
	return err
}
