package blobstore

import (
	"context"
	"io"
	"log/slog"
	"path/filepath"
	"sync"

	"github.com/opencontainers/go-digest"

	"github.com/mstore/mstore/internal/durable"
)

// Candidate is what a keeper is asked about: bytes that were verified and are not yet a blob.
type Candidate struct {
	Digest digest.Digest
	Size   int64
	Bytes  io.ReaderAt // valid until the keeper answers
}

// Options configure a Store. The zero value is a private store that admits all.
type Options struct {
	// Admit is asked by every Commit, whatever the way in, after the bytes were verified and before they are a blob.
	// Its error keeps them out; Commit returns it as ErrRefused. Nil admits all. It must be safe for concurrent use.
	Admit func(ctx context.Context, c Candidate) error
	// Withheld answers whether a digest was refused. Such a digest is not in the store, to every question. Nil
	// withholds nothing. It must be cheap and safe for concurrent use.
	Withheld func(d digest.Digest) bool
	// Shared makes a new store group-writable, for several users. It is recorded in the store and needed only once.
	Shared bool
	// Log gets what is worth a line at debug and warn. Nil: slog.Default.
	Log *slog.Logger
}

// Store is a folder of blobs. Its methods are safe for concurrent use, in any number of processes.
//
// Open gives it; Close ends the lease that Push keeps. A Store holds no lock and no cache: what another process
// commits is there at once.
type Store struct {
	root   string
	opts   Options
	log    *slog.Logger
	format format
	pace   pace

	pushing struct { // the lease of Push, made when it is first needed
		sync.Mutex
		lease *Lease
	}
}

// Open opens the store at root, making it when there is nothing. Opening an existing store writes nothing.
//
// It fails with ErrNotStore when root is a file or a folder with other things in it, with ErrNewer, with ErrInsecure
// when root belongs to another user or may be written by everyone (unless the store was made Shared and root's group is
// one of ours), or with the error of the file system.
func Open(root string, opts Options) (*Store, error) {
	root, err := filepath.Abs(root)
	if err != nil {
		return nil, err
	}
	s := &Store{root: root, opts: opts, log: opts.Log, pace: defaultPace()}
	if s.log == nil {
		s.log = slog.Default()
	}
	if s.format, err = openFormat(root, opts.Shared); err != nil {
		return nil, err
	}
	if !s.format.Locks {
		s.log.Warn("file locks do nothing in this store: work may be done twice, and gc keeps young blobs", "store", root)
	}
	return s, nil
}

// Close releases what the store itself holds. Leases and ingests have their own ends.
func (s *Store) Close() error {
	s.pushing.Lock()
	defer s.pushing.Unlock()
	if s.pushing.lease == nil {
		return nil
	}
	lease := s.pushing.lease
	s.pushing.lease = nil
	return lease.Release()
}

// Root is the absolute path of the store's folder.
func (s *Store) Root() string { return s.root }

// Dir is the path of one of the folders of the store's layout, such as "tags". It may be missing.
func (s *Store) Dir(name string) string { return filepath.Join(s.root, name) }

// Doubtful tells that locks were found to do nothing here when the store was made. A collector then keeps what is
// younger than a grace period.
func (s *Store) Doubtful() bool { return !s.format.Locks }

// Settle makes the names of all blobs durable. Commit does that for its own; whoever relies on what another process may
// be committing just now asks for it before it tells anybody.
func (s *Store) Settle() error { return durable.SyncDir(s.blobs()) }

func (s *Store) blobs() string { return filepath.Join(s.root, "blobs", "sha256") }

func (s *Store) withheld(d digest.Digest) bool {
	return s.opts.Withheld != nil && s.opts.Withheld(d)
}
