package blobstore

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"sync"

	"github.com/opencontainers/go-digest"

	"github.com/mstore/mstore/internal/key"
)

// Want says what an ingest is to become.
type Want struct {
	// Digest of the blob; empty when it is not known before the bytes are here.
	Digest digest.Digest
	// Size in bytes; negative when not known. It is part of what Commit verifies.
	Size int64
	// Name identifies a partial blob of unknown digest, so that a later ingest of the same name resumes it. A blob of
	// unknown digest and no name starts at zero.
	Name string
	// Verify, when not nil, is another word on what the bytes are than the digest. Commit asks it about the file; an
	// error of it is ErrMismatch.
	Verify func(size int64, content io.Reader) error
	// Waiting, when not nil, is called when another process (or goroutine) is fetching the blob and the ingest waits for
	// it: at once, and then a few times a second while that one gets on. have is how many bytes it has, and never falls.
	// The calls come one at a time, and none after Ingest has returned.
	Waiting func(have int64)
}

// Ingest begins to write a blob, or goes on where a dead process stopped. The digest is held from here on.
//
// One ingest a digest runs at a time, in all processes: the others wait until it ends, or ctx does, and look again.
// It fails with ErrExists when the blob is here, then or after the wait, and with ErrWithheld.
func (l *Lease) Ingest(ctx context.Context, want Want) (*Ingest, error) {
	if want.Digest == "" {
		return l.ingestUnknown(ctx, want)
	}
	k, err := key.Parse(want.Digest)
	if err != nil {
		return nil, err
	}
	if err := l.lookFor(ctx, k, want); err != nil {
		return nil, err
	}
	unlock, err := l.store.lockIngest(ctx, l.store.ingestLock(k), k.Hex(), want.Waiting)
	if err != nil {
		return nil, err
	}
	err = l.lookFor(ctx, k, want) // whoever held the lock may have committed it
	if err == nil {
		err = l.store.setAside(k)
	}
	var in *Ingest
	if err == nil {
		in, err = l.store.openIngest(k.Hex(), want.Size)
	}
	if err != nil {
		return nil, errors.Join(err, unlock())
	}
	in.lease, in.want, in.confirm, in.unlock = l, k, want.Verify, unlock
	return in, nil
}

// lookFor holds the digest and fails with ErrExists when its blob is here. What lies under its name and is no blob, or
// has wrong bytes as far as a cheap look can tell, is replaced by the ingest.
func (l *Lease) lookFor(ctx context.Context, k key.Key, want Want) error {
	info, err := l.Stat(k.Digest())
	switch {
	case err == nil && want.Size >= 0 && info.Size != want.Size:
		return l.store.checkSize(ctx, k, want.Size)
	case err == nil:
		return fmt.Errorf("%w: %s", ErrExists, k)
	case errors.Is(err, ErrNotFound), errors.Is(err, ErrMismatch), errors.Is(err, ErrCorrupt):
		return nil
	}
	return err
}

// checkSize decides who is wrong when a blob has another size than was asked for: the one who asks, when the blob is
// true to its digest, else the blob, which may then be replaced.
func (s *Store) checkSize(ctx context.Context, k key.Key, want int64) error {
	b, err := s.Open(k.Digest())
	if err != nil {
		return err
	}
	defer func() { _ = b.Close() }()
	err = rehash(b, func(int64) error { return ctx.Err() })
	if errors.Is(err, ErrMismatch) {
		return nil
	}
	if err != nil {
		return err
	}
	return &MismatchError{Want: k.Digest(), Got: k.Digest(), WantSize: want, GotSize: b.Size()}
}

func (l *Lease) ingestUnknown(ctx context.Context, want Want) (*Ingest, error) {
	id, unlock := anonymous, func() error { return nil }
	if want.Name != "" {
		k, err := key.Parse(digest.FromString(want.Name))
		if err != nil {
			return nil, err
		}
		id = byName + k.Hex()
		if unlock, err = l.store.lockIngest(ctx, l.store.ingestLock(k), id, want.Waiting); err != nil {
			return nil, err
		}
	}
	in, err := l.store.openIngest(id, want.Size)
	if err != nil {
		return nil, errors.Join(err, unlock())
	}
	in.lease, in.confirm, in.unlock = l, want.Verify, unlock
	return in, nil
}

func (s *Store) ingestLock(k key.Key) string { return k.In(s.Dir("locks")) }

// openIngest makes an ingest over a folder of its own, adopted or new.
func (s *Store) openIngest(id string, size int64) (*Ingest, error) {
	p, have, from, err := s.openPartial(id, size)
	if err != nil {
		return nil, fmt.Errorf("begin an ingest: %w", err)
	}
	in := &Ingest{
		store: s, id: id, folder: p, wantSize: size, size: size,
		resumed: have.total(), written: have, claimed: slices.Clone(have),
	}
	in.moved = sync.NewCond(&in.mu)
	in.hasher = startHasher(in, from)
	return in, nil
}
