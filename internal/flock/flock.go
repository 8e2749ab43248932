// Package flock wraps advisory file locks once for the whole module.
//
// Locks here save work and keep two processes from doing one thing; they never carry integrity. On a file system
// where flock does nothing, or refuses, everything built on this package must stay right and may only do more work.
// That is why a lock that the file system cannot give ([Unsupported]) counts as held.
//
// A lock file is never deleted by this package: a process may be waiting on its inode. The package knows nothing of
// what the locks guard.
package flock

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"github.com/gofrs/flock"
)

// poll is how often a waiter looks again. flock(2) cannot be cancelled, so waiting is asking: 5 ms is under what a
// person notices and costs one system call.
const poll = 5 * time.Millisecond

// mode lets every user of a shared store open the lock; the umask narrows it.
const mode fs.FileMode = 0o666

// Lock takes the exclusive lock on the file at path, creating the file, and waits for it until ctx is done.
// The lock excludes every other holder, in this process too. The folder must exist.
// On an error nothing is held; the error is ctx's when the wait ended by it.
func Lock(ctx context.Context, path string) (unlock func() error, err error) {
	l := newLock(path)
	if _, err := l.lockContext(ctx); err != nil && !Unsupported(err) {
		return nil, fmt.Errorf("lock %s: %w", path, err)
	}
	return l.Close, nil
}

// TryLock is Lock without the wait: ok tells whether the lock was had. unlock is nil unless it was.
func TryLock(path string) (unlock func() error, ok bool, err error) {
	l := newLock(path)
	ok, err = l.TryLock()
	switch {
	case err != nil && !Unsupported(err):
		return nil, false, fmt.Errorf("lock %s: %w", path, err)
	case err == nil && !ok:
		return nil, false, l.Close()
	}
	return l.Close, true, nil
}

// Shared is a shared lock that its holder keeps for long, on a file that may be renamed meanwhile.
type Shared struct{ l *lock }

// Share takes the shared lock on the file at path without waiting, creating the file. It fails when somebody holds
// the exclusive lock.
func Share(path string) (*Shared, error) {
	l := newLock(path)
	ok, err := l.TryRLock()
	if err != nil && !Unsupported(err) {
		return nil, fmt.Errorf("lock %s: %w", path, err)
	}
	if err == nil && !ok {
		return nil, errors.Join(fmt.Errorf("lock %s: held by another process", path), l.Close())
	}
	return &Shared{l}, nil
}

// Release gives the lock up.
func (s *Shared) Release() error { return s.l.Close() }

// TryLockSame is TryLock on a file that its owner may be deleting: ok is true only when the lock was had and path
// still names the inode that was locked.
func TryLockSame(path string) (unlock func() error, ok bool, err error) {
	l := newLock(path, flock.SetFlag(os.O_RDONLY))
	ok, err = l.TryLock()
	if err != nil && !Unsupported(err) || err == nil && !ok {
		return nil, false, errors.Join(err, l.Close())
	}
	held, err := l.Stat()
	if err == nil {
		var named fs.FileInfo
		if named, err = os.Lstat(path); err == nil && os.SameFile(held, named) {
			return l.Close, true, nil
		}
	}
	return nil, false, errors.Join(err, l.Close())
}

// Probe tells whether locks exclude anything in dir: it locks a file there and asks for the lock a second time.
// The file is left behind: it is a lock file like the others.
func Probe(dir string) (works bool, err error) {
	path := filepath.Join(dir, "probe")
	first := newLock(path)
	ok, err := first.TryLock()
	if err != nil || !ok { // held by another process that probes: then locks do exclude
		return err == nil, errors.Join(ignoreUnsupported(err), first.Close())
	}
	second := newLock(path)
	got, err := second.TryLock()
	return !got, errors.Join(ignoreUnsupported(err), second.Close(), first.Close())
}

// Unsupported tells whether err means that the file system has no locks to give.
func Unsupported(err error) bool {
	return errors.Is(err, syscall.ENOSYS) || errors.Is(err, syscall.EOPNOTSUPP) || errors.Is(err, syscall.ENOLCK)
}

func ignoreUnsupported(err error) error {
	if Unsupported(err) {
		return nil
	}
	return err
}

// lock is a lock that was not taken yet, or was.
type lock struct{ *flock.Flock }

// newLock makes a fresh object for each taking: one gofrs object is no mutex between goroutines.
func newLock(path string, opts ...flock.Option) *lock {
	return &lock{flock.New(path, append([]flock.Option{flock.SetPermissions(mode)}, opts...)...)}
}

func (l *lock) lockContext(ctx context.Context) (bool, error) {
	return l.take(func() (bool, error) { return l.TryLockContext(ctx, poll) })
}

// TryLock is gofrs'.
func (l *lock) TryLock() (bool, error) { return l.take(l.Flock.TryLock) }

// TryRLock is gofrs'.
func (l *lock) TryRLock() (bool, error) { return l.take(l.Flock.TryRLock) }

// take takes the lock. One that is refused is given back: its file is there and open, as it is where flock fails.
func (l *lock) take(try func() (bool, error)) (bool, error) {
	ok, err := try()
	if refused, why := refusal(); refused && err == nil {
		return why == nil, errors.Join(why, l.Unlock())
	}
	return ok, err
}
