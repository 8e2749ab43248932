package mstore

import (
	"cmp"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"strings"

	"github.com/opencontainers/go-digest"

	"github.com/mstore/mstore/blobstore"
	"github.com/mstore/mstore/fetch"
	"github.com/mstore/mstore/internal/clone"
	"github.com/mstore/mstore/internal/key"
	"github.com/mstore/mstore/manifest"
	"github.com/mstore/mstore/manifest/tags"
)

// FileWant says what an outside file is held against: a file of a model, or a digest, or a size, or several of these,
// which must all be true of it.
type FileWant struct {
	Name   string        // NAME/FILE; or NAME, and any file of the model will do
	Digest digest.Digest // empty: not asked for
	Size   *int64        // bytes; nil: not asked for
}

// VerifyFile reads a file of this machine in full and holds it against what is wanted; the store needs only to know
// the manifest. It fails with ErrVerification when the file is something else, with ErrNotFound when there is no such
// file or model, and with ErrUsage when nothing is wanted.
func (s *Store) VerifyFile(ctx context.Context, path string, want FileWant) (err error) {
	defer classify(&err)
	if want.Name == "" && want.Digest == "" && want.Size == nil {
		return usagef("nothing to hold %s against: name a model's file, a digest or a size", path)
	}
	if want.Digest != "" {
		if _, err := key.Parse(want.Digest); err != nil {
			return err
		}
	}
	got, err := describe(ctx, path)
	if err != nil {
		return err
	}
	if want.Digest != "" && want.Digest != got.Digest || want.Size != nil && *want.Size != got.Size {
		return mismatch(path, got, blobstore.Info{Digest: want.Digest, Size: *cmp.Or(want.Size, new(int64(-1)))})
	}
	if want.Name == "" {
		return nil
	}
	files, err := s.filesOf(want.Name, path)
	if err != nil {
		return err
	}
	for _, f := range files {
		if f.Digest == got.Digest && f.Size == got.Size {
			return nil
		}
	}
	return mismatch(path, got, files[0])
}

func mismatch(path string, got, want blobstore.Info) error {
	return fmt.Errorf("%s: %w", path, &blobstore.MismatchError{
		Want: want.Digest, Got: got.Digest, WantSize: want.Size, GotSize: got.Size,
	})
}

// describe reads a file in full.
func describe(ctx context.Context, path string) (blobstore.Info, error) {
	info, err := os.Stat(path)
	if err != nil {
		return blobstore.Info{}, err
	}
	if !info.Mode().IsRegular() { // a pipe would block
		return blobstore.Info{}, usagef("%s is no regular file", path)
	}
	file, err := os.Open(path)
	if err != nil {
		return blobstore.Info{}, err
	}
	hash := sha256.New()
	size, err := clone.Copy(ctx, hash, io.Reader(file), nil)
	return blobstore.Info{Digest: digest.NewDigest(digest.SHA256, hash), Size: size}, errors.Join(err, file.Close())
}

// filesOf are the files that NAME/FILE names: one; or all those of a model, the one that is called like local first.
func (s *Store) filesOf(name, local string) ([]blobstore.Info, error) {
	model, file, err := s.splitFile(name)
	if err != nil {
		return nil, err
	}
	var files []blobstore.Info
	for _, f := range model.Files {
		info := blobstore.Info{Digest: f.Descriptor.Digest, Size: f.Descriptor.Size}
		switch {
		case file == f.Path:
			return []blobstore.Info{info}, nil
		case file == "" && path.Base(f.Path) == path.Base(strings.ReplaceAll(local, string(os.PathSeparator), "/")):
			files = append([]blobstore.Info{info}, files...)
		case file == "":
			files = append(files, info)
		}
	}
	if len(files) == 0 {
		return nil, &NotFoundError{Name: name}
	}
	return files, nil
}

// splitFile takes NAME/FILE apart, where both may have slashes: the longest name that is in the store counts.
func (s *Store) splitFile(name string) (*manifest.Manifest, string, error) {
	missing := error(&NotFoundError{Name: name})
	for end := len(name); end > 0; end = strings.LastIndexByte(name[:end], '/') {
		var m *manifest.Manifest
		err := s.reading(name[:end], func(tag tags.Tag) (err error) {
			m, err = fetch.Load(s.blobs, tag)
			return err
		})
		if errors.Is(err, tags.ErrName) { // with its file, a name may be more than a name can be
			missing = err
			continue
		}
		if _, ok := errors.AsType[*NotFoundError](err); !ok {
			return m, strings.TrimPrefix(name[end:], "/"), err
		}
		missing = &NotFoundError{Name: name}
	}
	return nil, "", missing
}
