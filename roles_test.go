package mstore_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/mstore/mstore"
)

// roleArgs is what a child process is told.
type roleArgs struct {
	Dir, Ref, As string
	Paths        []string
}

// roles are what child processes do. They end without closing anything, as processes do.
var roles = map[string]func(ctx context.Context, a roleArgs) (any, error){
	"pull":    pullRole,
	"push":    pushRole,
	"import":  importRole,
	"collect": collectRole,
	"remove":  removeRole,
	"use":     useRole,
}

func pullRole(ctx context.Context, a roleArgs) (any, error) {
	s, err := mstore.Open(a.Dir, quiet())
	if err != nil {
		return nil, err
	}
	return s.Pull(ctx, a.Ref, mstore.PullOptions{As: a.As})
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
