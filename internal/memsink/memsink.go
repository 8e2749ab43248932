// Package memsink is a sink for transfers that lies in memory, for tests.
package memsink

import (
	"errors"
	"slices"
	"sync"
)

// Sink is a blob in memory. It may be used by several goroutines.
type Sink struct {
	mu      sync.Mutex
	data    []byte
	gaps    [][2]int64 // sorted, half-open
	unknown bool
	fail    error
}

// New is a sink of size bytes that has the first bytes already: had.
func New(size int, had []byte) *Sink {
	s := &Sink{data: make([]byte, size)}
	if copy(s.data, had) < size {
		s.gaps = [][2]int64{{int64(len(had)), int64(size)}}
	}
	return s
}

// NewUnknown is a sink of unknown size that has the first bytes already.
func NewUnknown(had []byte) *Sink { return &Sink{data: slices.Clone(had), unknown: true} }

// Fail makes every write fail with err.
func (s *Sink) Fail(err error) { s.fail = err }

// WriteAt is io.WriterAt. Bytes that are there already, and bytes past the end, are an error.
func (s *Sink) WriteAt(p []byte, off int64) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	end := off + int64(len(p))
	switch {
	case s.fail != nil:
		return 0, s.fail
	case s.unknown && off == int64(len(s.data)):
		s.data = append(s.data, p...)
		return len(p), nil
	}
	for i, g := range s.gaps {
		if g[0] <= off && end <= g[1] {
			rest := append([][2]int64{{g[0], off}, {end, g[1]}}, s.gaps[i+1:]...)
			s.gaps = slices.DeleteFunc(append(s.gaps[:i:i], rest...), func(g [2]int64) bool { return g[0] == g[1] })
			return copy(s.data[off:], p), nil
		}
	}
	return 0, errors.New("bytes that were there, or past the end")
}

// MissingFrom is transfer.Sink's.
func (s *Sink) MissingFrom(at int64) (off, n int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.unknown {
		return max(at, int64(len(s.data))), -1
	}
	for _, g := range s.gaps {
		if at < g[1] {
			at = max(at, g[0])
			return at, g[1] - at
		}
	}
	return int64(len(s.data)), 0
}

// Bytes are what the sink has; whole tells that there are no gaps.
func (s *Sink) Bytes() (data []byte, whole bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.data, len(s.gaps) == 0
}
