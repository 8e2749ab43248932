package blobstore

import (
	"context"
	"errors"
	"fmt"
	"io"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"oras.land/oras-go/v2/content"
	"oras.land/oras-go/v2/errdef"

	"github.com/mstore/mstore/internal/key"
)

// A Store is the storage of a program that speaks oras-go: content.Storage.
var _ content.Storage = (*Store)(nil)

// Exists tells whether the blob of a descriptor is here, with the size that it says.
func (s *Store) Exists(_ context.Context, target ocispec.Descriptor) (bool, error) {
	info, err := s.Stat(target.Digest)
	switch {
	case errors.Is(err, ErrNotFound), errors.Is(err, ErrCorrupt), errors.Is(err, ErrMismatch):
		return false, nil
	case err != nil:
		return false, err
	}
	return info.Size == target.Size, nil
}

// Fetch opens the blob of a descriptor. A miss is also errdef.ErrNotFound.
func (s *Store) Fetch(_ context.Context, target ocispec.Descriptor) (io.ReadCloser, error) {
	b, err := s.Open(target.Digest)
	if errors.Is(err, ErrNotFound) {
		return nil, fmt.Errorf("%w: %w", errdef.ErrNotFound, err)
	}
	if err != nil {
		return nil, err
	}
	if b.Size() != target.Size {
		return nil, errors.Join(&MismatchError{
			Want: target.Digest, Got: target.Digest, WantSize: target.Size, GotSize: b.Size(),
		}, b.Close())
	}
	return b, nil
}

// Push brings a blob in through the one door. The blob is held until the store is closed, so that a program has the
// time to give it a tag. A blob that is here is errdef.ErrAlreadyExists, which oras-go takes for success.
func (s *Store) Push(ctx context.Context, expected ocispec.Descriptor, r io.Reader) (err error) {
	if _, err := key.Parse(expected.Digest); err != nil {
		return err
	}
	if expected.Size < 0 {
		return fmt.Errorf("push %s: %w", expected.Digest, content.ErrInvalidDescriptorSize)
	}
	lease, err := s.pushLease()
	if err != nil {
		return err
	}
	in, err := lease.Ingest(ctx, Want{Digest: expected.Digest, Size: expected.Size})
	if errors.Is(err, ErrExists) {
		return fmt.Errorf("%w: %w", errdef.ErrAlreadyExists, err)
	}
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, in.Close()) }()
	if err := fill(ctx, in, r); err != nil {
		return err
	}
	_, err = in.Commit(ctx)
	return err
}

// fill writes all of r from offset 0 on. What was here already is read from r all the same, and dropped.
func fill(ctx context.Context, in *Ingest, r io.Reader) error {
	buf := make([]byte, copySize)
	for off := int64(0); ; {
		if err := ctx.Err(); err != nil {
			return err
		}
		n, err := io.ReadFull(r, buf)
		if n > 0 {
			if _, err := in.WriteAt(buf[:n], off); err != nil {
				return err
			}
			off += int64(n)
		}
		if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
			return nil
		}
		if err != nil {
			return err
		}
	}
}

func (s *Store) pushLease() (*Lease, error) {
	s.pushing.Lock()
	defer s.pushing.Unlock()
	if s.pushing.lease == nil {
		lease, err := s.Lease()
		if err != nil {
			return nil, err
		}
		s.pushing.lease = lease
	}
	return s.pushing.lease, nil
}
