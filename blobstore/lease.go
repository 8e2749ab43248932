package blobstore

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/mstore/mstore/internal/durable"
	"github.com/mstore/mstore/internal/flock"
	"github.com/mstore/mstore/internal/key"
)

// Lease keeps blobs from being swept while a process relies on them and no tag does yet.
//
// The rule is hold before look: whoever needs a blob first holds its digest and only then asks whether it is there
// ([Lease.Stat] does both). What was looked at first may be swept before it is held.
//
// A lease is a file in leases/ on which its process holds a shared flock; the kernel gives that up when the process
// dies, however it dies, and the next collector removes the file. It is born locked: made under a private name, locked,
// then renamed into sight. A Lease is safe for concurrent use; it ends with Release.
type Lease struct {
	store *Store
	path  string
	lock  *flock.Shared
	stop  chan struct{}
	beat  sync.WaitGroup

	mu   sync.Mutex
	file *os.File
	end  int64 // of the whole lines in file
	held map[key.Key]struct{}
}

// newLeasePrefix marks a lease that is being born: nobody reads it.
const newLeasePrefix = ".new-"

// Lease makes a lease that holds nothing yet.
func (s *Store) Lease() (*Lease, error) {
	dir, name := s.Dir("leases"), nonce()
	file, err := durable.Create(filepath.Join(dir, newLeasePrefix+name), 0o600)
	if err != nil {
		return nil, fmt.Errorf("make a lease: %w", err)
	}
	l := &Lease{
		store: s, file: file, stop: make(chan struct{}), held: make(map[key.Key]struct{}),
		path: filepath.Join(dir, name),
	}
	if err := l.publish(); err != nil {
		return nil, errors.Join(fmt.Errorf("make a lease: %w", err), file.Close(), durable.Delete(file.Name()))
	}
	l.beat.Go(l.keepBeating)
	return l, nil
}

func (l *Lease) publish() error {
	born := l.file.Name()
	line, err := self().line()
	if err != nil {
		return err
	}
	lock, err := flock.Share(born)
	if err != nil {
		return err
	}
	err = l.append(line)
	if err == nil {
		err = durable.Chmod(l.file, 0o644) // every user of a shared store reads it
	}
	if err == nil {
		err = durable.Move(born, l.path)
	}
	if err != nil {
		return errors.Join(err, lock.Release())
	}
	l.lock = lock
	return nil
}

// keepBeating touches the lease for those who cannot see its lock.
func (l *Lease) keepBeating() {
	ticker := time.NewTicker(heartbeat)
	defer ticker.Stop()
	for {
		select {
		case <-l.stop:
			return
		case now := <-ticker.C:
			if err := durable.Chtimes(l.path, now); err != nil {
				l.store.log.Warn("a lease could not be refreshed", "lease", l.path, "error", err)
			}
		}
	}
}

// Hold adds digests to the lease. When it returns, no sweep that starts removes their blobs, and a sweep under way
// puts them back. It does not tell whether they are there.
func (l *Lease) Hold(digests ...digest.Digest) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	var lines bytes.Buffer
	added := make(map[key.Key]struct{})
	for _, d := range digests {
		k, err := key.Parse(d)
		if err != nil {
			return err
		}
		_, have := l.held[k]
		_, twice := added[k]
		if !have && !twice {
			added[k] = struct{}{}
			lines.WriteString(k.String() + "\n")
		}
	}
	if l.file == nil {
		return fmt.Errorf("hold: the lease was released: %w", fs.ErrClosed)
	}
	if err := l.append(lines.Bytes()); err != nil {
		return fmt.Errorf("hold: %w", err)
	}
	for k := range added {
		l.held[k] = struct{}{}
	}
	return nil
}

// append adds whole lines to the file. What a failed call wrote of its own is written over by the next, so that no line
// ever begins in the middle of another.
func (l *Lease) append(lines []byte) error {
	if len(lines) == 0 {
		return nil
	}
	n, err := durable.WriteAt(l.file, lines, l.end)
	if err == nil {
		l.end += int64(n)
	}
	return err
}

// Stat holds the digest and then looks, as [Store.Stat] does. Where locks do nothing it also makes the blob young.
func (l *Lease) Stat(d digest.Digest) (Info, error) {
	if err := l.Hold(d); err != nil {
		return Info{}, err
	}
	info, err := l.store.Stat(d)
	if err != nil || !l.store.Doubtful() {
		return info, err
	}
	err = l.store.freshen(d)
	if errors.Is(err, fs.ErrNotExist) { // swept between the two, and put back by now
		return l.store.Stat(d)
	}
	return info, err
}

// Keep gives a descriptor that keeps the lease alive across exec(2) and for as long as the program that runs then.
// It is errors.ErrUnsupported on Windows. Release ends the lease all the same.
func (l *Lease) Keep() (*os.File, error) { return keepLocked(l.path) }

// Release ends the lease. A second call does nothing.
func (l *Lease) Release() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.file == nil {
		return nil
	}
	close(l.stop)
	l.beat.Wait()
	err := errors.Join(ignoreMissing(durable.Delete(l.path)), l.lock.Release(), l.file.Close())
	l.file = nil
	return err
}

// Held is every digest that a living lease of any process holds, read now. Leases of dead processes are removed.
// An error means that the answer is not known, and nothing may be removed on it.
func (s *Store) Held() (map[digest.Digest]struct{}, error) {
	entries, err := os.ReadDir(s.Dir("leases"))
	if err != nil {
		return nil, err
	}
	held := make(map[digest.Digest]struct{})
	for _, e := range entries {
		err := s.readLease(filepath.Join(s.Dir("leases"), e.Name()), func(line string) {
			if k, err := key.Parse(digest.Digest(line)); err == nil {
				held[k.Digest()] = struct{}{}
			}
		})
		if err != nil {
			return nil, fmt.Errorf("read lease: %w", err)
		}
	}
	return held, nil
}

// readLease gives the lines of the lease at path that are whole, or removes the lease when its process is dead.
// A last line that is not whole is a Hold that has not returned: its holder has not looked yet.
func (s *Store) readLease(path string, take func(line string)) error {
	unborn := strings.HasPrefix(filepath.Base(path), newLeasePrefix)
	file, err := openRegular(path)
	switch {
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, ErrCorrupt): // released meanwhile; planted
		return nil
	case errors.Is(err, fs.ErrPermission) && unborn: // of another user, and holds nothing
		return nil
	}
	if err != nil {
		return err
	}
	defer func() { _ = file.Close() }()
	info, err := file.Stat()
	if err != nil {
		return err
	}
	raw, err := readLimited(file, 64<<20) // near a million digests
	if err != nil {
		return err
	}
	unlock, f, err := s.claim(parseOwner(raw), path, info.ModTime())
	if err != nil {
		return err
	}
	if f != alive {
		return errors.Join(ignoreMissing(durable.Delete(path)), unlock())
	}
	if unborn {
		return nil
	}
	for line := range strings.Lines(string(raw)) {
		if whole, ok := strings.CutSuffix(line, "\n"); ok {
			take(whole)
		}
	}
	return nil
}

func ignoreMissing(err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}
