package blobstore

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"

	"github.com/opencontainers/go-digest"

	"github.com/mstore/mstore/internal/durable"
	"github.com/mstore/mstore/internal/flock"
	"github.com/mstore/mstore/internal/key"
)

// SpaceError reports that blobs do not fit on the disk, before any of their bytes was written. It is syscall.ENOSPC.
type SpaceError struct {
	Needed   int64 // bytes that are still to be written
	Free     int64 // bytes that the file system has for this user
	Reserved int64 // of these, what other pulls are going to write
	Freeable int64 // what models have that are neither pinned nor in use, where somebody knows; else 0
}

func (e *SpaceError) Error() string {
	text := fmt.Sprintf("the disk has no room: %s more are needed, and %s are free", rounded(e.Needed), rounded(e.Free))
	if e.Reserved > 0 {
		text += fmt.Sprintf(", of which other pulls need %s", rounded(e.Reserved))
	}
	if e.Freeable > 0 {
		text += fmt.Sprintf("; models that are neither pinned nor in use have %s", rounded(e.Freeable))
	}
	return text
}

// rounded is a number of bytes for a person.
func rounded(n int64) string {
	const thousand = 1000
	value, unit := float64(n)/thousand/thousand, 0
	units := []string{"MB", "GB", "TB", "PB", "EB"}
	for value >= thousand && unit < len(units)-1 {
		value, unit = value/thousand, unit+1
	}
	return fmt.Sprintf("%.1f %s", value, units[unit])
}

// Is makes it what a full disk says.
func (e *SpaceError) Is(target error) bool { return target == syscall.ENOSPC }

// reserving begins the lines of a lease that say how large a blob will be. Who does not know them reads the others.
const reserving = "reserve "

// Reserve makes sure that there is room for blobs before any of them is fetched: for what is not here of them, beside
// what other leases have reserved and not written yet. A blob that several leases want counts once. It fails with a
// [SpaceError], and nothing is reserved then. The reservation ends with the lease, as its process does.
//
// Who comes first has the room; a lock orders them. Where locks do nothing, two may both be told that there is room, and
// one of them finds the disk full later on. A file system that does not tell its space has room for everything.
func (l *Lease) Reserve(ctx context.Context, wants ...Want) (err error) {
	mine, lines, err := l.store.unwritten(wants)
	if err != nil || len(mine) == 0 {
		return err
	}
	unlock, err := flock.Lock(ctx, filepath.Join(l.store.Dir("locks"), "space"))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, unlock()) }()
	reserved, err := l.store.reserved(l.path)
	if err != nil {
		return err
	}
	free, total, err := durable.Space(l.store.root)
	if err != nil || total == 0 {
		l.store.log.Debug("the file system does not tell its space", "error", err)
		return nil
	}
	short := &SpaceError{Free: free}
	for k, size := range reserved {
		if _, both := mine[k]; !both {
			short.Reserved += l.store.rest(k, size)
		}
	}
	for _, n := range mine {
		short.Needed += n
	}
	if short.Needed > short.Free-short.Reserved {
		return short
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.append([]byte(lines))
}

// unwritten is what of the blobs is not on the disk, in bytes, and the lines that reserve it.
func (s *Store) unwritten(wants []Want) (map[key.Key]int64, string, error) {
	mine := make(map[key.Key]int64)
	var lines strings.Builder
	for _, want := range wants {
		k, err := key.Parse(want.Digest)
		if err != nil {
			return nil, "", err
		}
		if n := s.rest(k, want.Size); n > 0 {
			mine[k] = n
			fmt.Fprintf(&lines, "%s%s %d\n", reserving, k, want.Size)
		}
	}
	return mine, lines.String(), nil
}

// rest is how much is still to be written of a blob of size bytes, as far as a look can tell.
func (s *Store) rest(k key.Key, size int64) int64 {
	if _, err := os.Lstat(s.formPath(k)); err == nil {
		return 0
	}
	have := int64(0)
	for _, dir := range s.partials(k.Hex()) {
		if info, err := os.Lstat(filepath.Join(dir, dataFile)); err == nil {
			have = max(have, allocated(info))
		}
	}
	return max(0, size-have)
}

// reserved is what living leases have reserved, but for the one at path: the size of each blob.
func (s *Store) reserved(but string) (map[key.Key]int64, error) {
	entries, err := os.ReadDir(s.Dir("leases"))
	if err != nil {
		return nil, err
	}
	all := make(map[key.Key]int64)
	for _, e := range entries {
		path := filepath.Join(s.Dir("leases"), e.Name())
		if path == but {
			continue
		}
		err := s.readLease(path, func(line string) {
			if k, size, ok := reservation(line); ok {
				all[k] = max(all[k], size)
			}
		})
		if err != nil {
			return nil, fmt.Errorf("read lease: %w", err)
		}
	}
	return all, nil
}

// reservation reads a line of a lease.
func reservation(line string) (k key.Key, size int64, ok bool) {
	rest, ok := strings.CutPrefix(line, reserving)
	name, number, _ := strings.Cut(rest, " ")
	if !ok {
		return key.Key{}, 0, false
	}
	k, err := key.Parse(digest.Digest(name))
	size, sizeErr := strconv.ParseInt(number, 10, 64)
	return k, size, err == nil && sizeErr == nil && size >= 0
}
