package blobstore

import (
	"context"
	"path/filepath"
	"sync"
	"time"

	"github.com/mstore/mstore/internal/durable"
	"github.com/mstore/mstore/internal/flock"
)

// lookEvery is how often a process that waits looks what the writer has: often enough for a bar that moves.
const lookEvery = 200 * time.Millisecond

// lockIngest takes the lock of single flight of the partials of id. While another has it, waiting is told what that one
// has.
func (s *Store) lockIngest(ctx context.Context, path, id string, waiting func(have int64)) (unlock func() error, err error) {
	unlock, ok, err := flock.TryLock(path)
	if err != nil {
		return nil, err
	}
	if !ok {
		stop := s.watchWriter(id, waiting)
		unlock, err = flock.Lock(ctx, path)
		stop()
		if err != nil {
			return nil, err
		}
	}
	if s.format.Shared { // whoever made the file may have a umask that shuts the others out; only they can change it
		_ = durable.ChmodPath(path, 0o664)
	}
	return unlock, nil
}

// watchWriter tells waiting, now and whenever it grew, how much the writer of id has, until stop is called.
func (s *Store) watchWriter(id string, waiting func(have int64)) (stop func()) {
	if waiting == nil {
		return func() {}
	}
	have := s.writerHas(id)
	waiting(have)
	done := make(chan struct{})
	var watch sync.WaitGroup
	watch.Go(func() {
		ticker := time.NewTicker(lookEvery)
		defer ticker.Stop()
		for {
			select {
			case <-done:
				return
			case <-ticker.C:
				if now := s.writerHas(id); now > have {
					have = now
					waiting(have)
				}
			}
		}
	})
	return func() {
		close(done)
		watch.Wait()
	}
}

// writerHas is how many bytes the fullest partial of id with an owner has, by its journal. It only reads, and what it
// cannot read counts as nothing: the writer may be doing anything with its folder just now.
func (s *Store) writerHas(id string) int64 {
	var most int64
	for _, dir := range s.partials(id) {
		o, err := readOwner(filepath.Join(dir, ownerFile))
		if err == nil {
			most = max(most, journalTotal(dir, o.Boot))
		}
	}
	return most
}
