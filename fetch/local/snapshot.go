package local

import (
	"context"
	"crypto/sha1" //nolint:gosec // it is how git, and so the hub, names small files; they are trusted by their sha256
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/mstore/mstore/fetch/source"
	"github.com/mstore/mstore/internal/key"
)

// snapshot is the files of one commit.
type snapshot struct {
	repo  hubRepo
	dir   string
	files *collection
}

// folder adds what is in a folder of the snapshot. prefix is its path in the model, with a slash at its end.
func (s *snapshot) folder(ctx context.Context, prefix string) error {
	entries, err := os.ReadDir(filepath.Join(s.dir, filepath.FromSlash(prefix)))
	if errors.Is(err, fs.ErrNotExist) && prefix == "" {
		return fmt.Errorf("commit %s: %w", filepath.Base(s.dir), ErrNotFound)
	}
	if err != nil {
		return err
	}
	for _, e := range entries {
		if err := ctx.Err(); err != nil {
			return err
		}
		name := prefix + e.Name()
		if e.IsDir() {
			err = s.folder(ctx, name+"/")
		} else {
			err = s.file(ctx, name, e)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// file adds one file. On systems without links it lies in the snapshot itself, and its name tells nothing.
func (s *snapshot) file(ctx context.Context, name string, e fs.DirEntry) error {
	path := filepath.Join(s.dir, filepath.FromSlash(name))
	etag := ""
	if e.Type() == fs.ModeSymlink {
		to, err := os.Readlink(path)
		if err != nil {
			return err
		}
		if !filepath.IsAbs(to) {
			to = filepath.Join(filepath.Dir(path), to)
		}
		if filepath.Dir(to) != filepath.Join(s.repo.dir, "blobs") {
			return fmt.Errorf("%s: %w: it is a link out of the repository's blobs", path, ErrPath)
		}
		path, etag = to, filepath.Base(to)
	}
	info, err := os.Lstat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return fmt.Errorf("%s: %w: its download did not finish", name, ErrNotFound)
	case err != nil:
		return err
	}
	if err := s.files.file(path, name, info); err != nil {
		return err
	}
	last := &s.files.files[len(s.files.files)-1]
	last.Descriptor, err = describe(ctx, path, etag, info.Size())
	if err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	return nil
}

// describe is the digest and size of a file that the hub calls etag. One that is named by its sha1 is read here, and
// gets the sha256 of the very bytes that have this sha1.
func describe(ctx context.Context, path, etag string, size int64) (ocispec.Descriptor, error) {
	desc := ocispec.Descriptor{Size: size}
	if k, err := key.ParseHex(etag); err == nil {
		desc.Digest = k.Digest()
		return desc, nil
	}
	if etag != "" && !commitForm.MatchString(etag) {
		return desc, fmt.Errorf("%w: its blob is named %q, which is no digest", ErrPath, etag)
	}
	if etag == "" {
		return desc, nil
	}
	f, info, err := openRegular(path)
	if err != nil {
		return desc, err
	}
	defer func() { _ = f.Close() }()
	oid, sum := sha1.New(), sha256.New() //nolint:gosec // as above
	_, _ = io.WriteString(oid, "blob "+strconv.FormatInt(info.Size(), 10)+"\x00")
	n, err := io.Copy(io.MultiWriter(oid, sum), &span{ctx, io.NewSectionReader(f, 0, info.Size()), f})
	if err != nil {
		return desc, err
	}
	if got := hex.EncodeToString(oid.Sum(nil)); got != etag {
		return desc, fmt.Errorf("%w: git calls its bytes %s, and its name is %s", source.ErrDigest, got, etag)
	}
	return ocispec.Descriptor{Digest: digest.NewDigest(digest.SHA256, sum), Size: n}, nil
}
