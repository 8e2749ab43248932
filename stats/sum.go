package stats

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io"
	"io/fs"
	"os"
	"time"
)

// Sum is what acts add up to.
type Sum struct {
	From     time.Time        `json:"from,omitzero"` // of the first act
	Pulls    map[string]int64 `json:"pulls"`         // by outcome
	Pushes   map[string]int64 `json:"pushes"`
	Imports  map[string]int64 `json:"imports"`
	Sweeps   map[string]int64 `json:"sweeps"`
	Cached   int64            `json:"cached"`   // pulls for which nothing had to move
	Fetched  int64            `json:"fetched"`  // bytes of pulls that moved
	Reused   int64            `json:"reused"`   // bytes of pulls that were there
	Pushed   int64            `json:"pushed"`   // bytes
	Fetching float64          `json:"fetching"` // seconds of pulls that moved something
	Retries  int64            `json:"retries"`
	Removed  int64            `json:"removed"` // blobs
	Freed    int64            `json:"freed"`   // bytes
}

func (s *Sum) add(a Act) {
	if s.From.IsZero() || a.Time.Before(s.From) {
		s.From = a.Time
	}
	s.Retries += int64(a.Retries)
	switch a.Kind {
	case Pull:
		count(&s.Pulls, a.Outcome)
		s.Fetched += a.Fetched
		s.Reused += a.Reused
		if a.Cached {
			s.Cached++
		}
		if a.Fetched > 0 {
			s.Fetching += a.Seconds
		}
	case Push:
		count(&s.Pushes, a.Outcome)
		s.Pushed += a.Fetched
	case Import:
		count(&s.Imports, a.Outcome)
	case Sweep:
		count(&s.Sweeps, a.Outcome)
		s.Removed += int64(a.Removed)
		s.Freed += a.Freed
	}
}

func count(of *map[string]int64, outcome string) {
	if *of == nil {
		*of = make(map[string]int64)
	}
	(*of)[outcome]++
}

// Speed is the average of pulls that moved something, in bytes a second; 0 when there is none.
func (s *Sum) Speed() float64 {
	if s.Fetching <= 0 {
		return 0
	}
	return float64(s.Fetched) / s.Fetching
}

// HitRate is the share of bytes that pulls found in the store, from 0 to 1.
func (s *Sum) HitRate() float64 {
	if s.Fetched+s.Reused == 0 {
		return 0
	}
	return float64(s.Reused) / float64(s.Fetched+s.Reused)
}

// each gives the acts of a file to add. Lines that are none are passed over: a kill cuts one off, and others may write
// here too.
func each(raw []byte, add func(Act)) {
	for line := range bytes.Lines(raw) {
		var a Act
		if json.Unmarshal(line, &a) == nil && a.Kind != "" && a.Outcome != "" && a.Fetched >= 0 && a.Reused >= 0 && a.Freed >= 0 {
			add(a)
		}
	}
}

// idOf tells one file from the next: it is that of its first lines.
func idOf(raw []byte) string {
	const enough = 4 << 10
	hash := sha256.Sum256(raw[:min(len(raw), enough)])
	return hex.EncodeToString(hash[:8])
}

// readFile reads a file that is bounded by those who write it, and as far as that when somebody else did. One that is
// not there is empty.
func readFile(path string) ([]byte, error) {
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }()
	return io.ReadAll(io.LimitReader(f, 8*mostBytes))
}
