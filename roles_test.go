package mstore_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"

	"github.com/opencontainers/go-digest"

	"github.com/mstore/mstore"
	"github.com/mstore/mstore/blobstore"
	"github.com/mstore/mstore/fetch"
)

// roleArgs is what a child process is told.
type roleArgs struct {
	Dir, Ref, As string
	Paths        []string
	Connections  int // of a pull, in all; 0: the default
	Jobs         int // of a pull
}

// roles are what child processes do. They end without closing anything, as processes do.
var roles = map[string]func(ctx context.Context, a roleArgs) (any, error){
	"pull":    pullRole,
	"watch":   watchRole,
	"push":    pushRole,
	"import":  importRole,
	"collect": collectRole,
	"remove":  removeRole,
	"use":     useRole,
	"abandon": abandonRole,
}

func pullRole(ctx context.Context, a roleArgs) (any, error) {
	s, err := mstore.Open(a.Dir, limited(a))
	if err != nil {
		return nil, err
	}
	return s.Pull(ctx, a.Ref, mstore.PullOptions{As: a.As, Jobs: a.Jobs})
}

func limited(a roleArgs) mstore.Options {
	o := quiet()
	o.Limits.Connections = a.Connections
	return o
}

// watching is what watchRole prints.
type watching struct {
	mstore.Pulled
	Waits [][]int64 // of each blob that was waited for, how much of it each event told
}

// watchRole pulls and keeps what it is told of other processes.
func watchRole(ctx context.Context, a roleArgs) (any, error) {
	r, change := recording()
	o := limited(a)
	change(&o)
	s, err := mstore.Open(a.Dir, o)
	if err != nil {
		return nil, err
	}
	p, err := s.Pull(ctx, a.Ref, mstore.PullOptions{As: a.As, Jobs: a.Jobs})
	if err != nil {
		return nil, err
	}
	waits := make(map[digest.Digest][]int64)
	for _, e := range r.take() {
		if e.Kind == fetch.Wait {
			waits[e.Digest] = append(waits[e.Digest], e.Done)
		}
	}
	return watching{*p, slices.Collect(maps.Values(waits))}, nil
}

func pushRole(ctx context.Context, a roleArgs) (any, error) {
	s, err := mstore.Open(a.Dir, quiet())
	if err != nil {
		return nil, err
	}
	return s.Push(ctx, a.As, a.Ref, mstore.PushOptions{})
}

func importRole(ctx context.Context, a roleArgs) (any, error) {
	s, err := mstore.Open(a.Dir, quiet())
	if err != nil {
		return nil, err
	}
	return s.Import(ctx, a.Paths, a.As, mstore.ImportOptions{})
}

// collectRole clears the store of all that is not pinned, again and again.
func collectRole(ctx context.Context, a roleArgs) (any, error) {
	return untilStdinCloses(a, func(s *mstore.Store) error {
		_, err := s.GC(ctx, mstore.GCOptions{All: true})
		return err
	})
}

// removeRole removes every tag, again and again. That somebody else was faster is no error.
func removeRole(ctx context.Context, a roleArgs) (any, error) {
	return untilStdinCloses(a, func(s *mstore.Store) error {
		all, err := s.List(ctx)
		if err != nil {
			return err
		}
		for _, m := range all {
			_, err := s.Remove(ctx, m.Name)
			if err != nil && !errors.Is(err, mstore.ErrNotFound) && !errors.Is(err, mstore.ErrBusy) {
				return err
			}
		}
		return nil
	})
}

// useRole looks at every model and reads what it is made of, again and again. That it went meanwhile is no error.
func useRole(ctx context.Context, a roleArgs) (any, error) {
	return untilStdinCloses(a, func(s *mstore.Store) error {
		all, err := s.List(ctx)
		if err != nil {
			return err
		}
		for _, m := range all {
			if err := read(ctx, s, m.Name); err != nil && !errors.Is(err, mstore.ErrNotFound) {
				return fmt.Errorf("use of %s: %w", m.Name, err)
			}
		}
		report, err := s.Verify(ctx, mstore.VerifyOptions{})
		if err != nil && report != nil && onlyIndex(report) {
			err = nil // a writer is between a tag and the index
		}
		if err != nil {
			return fmt.Errorf("verify: %w: %+v", err, report)
		}
		return nil
	})
}

func onlyIndex(r *mstore.VerifyReport) bool {
	return len(r.Bad) == 1 && len(r.Bad[0].Names) == 1 && r.Bad[0].Names[0] == "index.json"
}

// read takes a model into use and looks whether its files are all there, as long as it is.
func read(ctx context.Context, s *mstore.Store, name string) (err error) {
	if _, err := s.Show(ctx, name); err != nil {
		return err
	}
	use, err := s.Use(ctx, name)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, use.Release()) }()
	for range 3 {
		for _, f := range use.Files {
			info, err := os.Stat(use.Dir + "/" + f.Path)
			if err != nil || info.Size() != f.Size {
				return fmt.Errorf("in use: %s: %v", f.Path, err) //nolint:errorlint // that it is gone is not to be taken for a tag that went
			}
			if err := s.Blobs().Check(ctx, f.Digest, nil); err != nil {
				return fmt.Errorf("in use: %s: %v", f.Path, err) //nolint:errorlint // likewise
			}
		}
	}
	return nil
}

// untilStdinCloses does one thing over and over, and tells how often.
func untilStdinCloses(a roleArgs, do func(*mstore.Store) error) (rounds int, err error) {
	s, err := mstore.Open(a.Dir, quiet())
	if err != nil {
		return 0, err
	}
	stop := make(chan struct{})
	go func() {
		_, _ = io.Copy(io.Discard, os.Stdin)
		close(stop)
	}()
	for {
		select {
		case <-stop:
			return rounds, nil
		default:
		}
		if err := do(s); err != nil {
			return rounds, err
		}
		rounds++
	}
}

// abandonRole leaves all that a process can leave, and is killed: blobs that it moved aside, a lease, the beginning of a
// blob that nobody can resume.
func abandonRole(ctx context.Context, a roleArgs) (any, error) {
	s, err := mstore.Open(a.Dir, quiet())
	if err != nil {
		return nil, err
	}
	for d, err := range s.Blobs().All() {
		if err == nil {
			_, err = s.Blobs().Trash(d)
		}
		if err != nil {
			return nil, err
		}
	}
	lease, err := s.Blobs().Lease()
	if err != nil {
		return nil, err
	}
	in, err := lease.Ingest(ctx, blobstore.Want{Size: -1})
	if err != nil {
		return nil, err
	}
	if _, err := in.WriteAt(make([]byte, 5000), 0); err != nil {
		return nil, err
	}
	self, err := os.FindProcess(os.Getpid())
	if err != nil {
		return nil, err
	}
	return nil, self.Kill()
}
