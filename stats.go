package mstore

import (
	"context"
	"errors"
	"io/fs"
	"path/filepath"
	"time"

	"github.com/mstore/mstore/gc"
	"github.com/mstore/mstore/internal/durable"
	"github.com/mstore/mstore/stats"
)

// StatsOptions say what is counted. The zero value is all there ever was.
type StatsOptions struct {
	Since time.Time // acts before it are left out; the zero time: none
}

// Stats are what a store holds now, and what was done in it.
type Stats struct {
	Models []gc.Weight // by name
	Blobs  int
	Used   int64 // bytes of all blobs, each once
	Needed int64 // of these, what models and running processes need; a collection would free the rest
	Shared int64 // bytes that are not used because models share blobs
	Packed int   // of the blobs, those that are packed
	Saved  int64 // bytes that are not used because of that

	FreeSpace, TotalSpace int64 // of the file system; 0 where it does not tell

	Quarantine Pile // files that were refused or found damaged
	Partial    Pile // beginnings of blobs
	Trash      Pile // blobs that sweeps have moved aside and not deleted yet
	Leases     int  // processes that rely on blobs, and those that died since the last collection

	Acts stats.Sum // what was done, by outcome: "ok", or the class of the failure
}

// Pile is a number of things, and how many bytes they take.
type Pile struct {
	Count int
	Bytes int64
}

// Stats counts. The data of blobs is not read; manifests are. A model that cannot be read is ErrVerification.
func (s *Store) Stats(ctx context.Context, o StatsOptions) (_ *Stats, err error) {
	defer classify(&err)
	weights, err := s.collector().Weigh(ctx)
	if err != nil {
		return nil, err
	}
	r := &Stats{Models: weights.Models, Needed: weights.Needed, Shared: weights.Apart - weights.Tagged}
	for d, err := range s.blobs.All() {
		if err != nil {
			return nil, err
		}
		if n, err := s.blobs.Size(d); err == nil { // one that is gone takes nothing
			r.Blobs++
			r.Used += n
		}
	}
	if err := s.countPacked(r); err != nil {
		return nil, err
	}
	if r.FreeSpace, r.TotalSpace, err = durable.Space(s.Dir()); err != nil {
		s.log.Debug("the file system does not tell its space", "error", err)
	}
	var leases Pile
	for name, p := range map[string]*Pile{
		"quarantine": &r.Quarantine, "ingest": &r.Partial, "trash": &r.Trash, "leases": &leases,
	} {
		if *p, err = pile(s.blobs.Dir(name)); err != nil {
			return nil, err
		}
	}
	r.Leases = leases.Count
	r.Acts, err = s.acts.Sum(o.Since)
	return r, err
}

// countPacked counts the packed blobs. One that cannot be read saves nothing.
func (s *Store) countPacked(r *Stats) error {
	for d, err := range s.blobs.Packed() {
		if err != nil {
			return err
		}
		if info, err := s.blobs.Stat(d); err == nil {
			r.Packed++
			r.Saved += info.Size - info.Stored
		}
	}
	return nil
}

// pile counts the entries of a folder, and the bytes of all files below. What vanishes meanwhile is passed over.
func pile(dir string) (p Pile, err error) {
	err = filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if err != nil || path == dir {
			return err
		}
		if filepath.Dir(path) == dir {
			p.Count++
		}
		if info, err := e.Info(); err == nil && info.Mode().IsRegular() {
			p.Bytes += info.Size()
		}
		return nil
	})
	return p, err
}

// record adds an act to the record: what it brought, when it began, how it ended. That it cannot be written is no
// failure of the act.
func (s *Store) record(a stats.Act, brought *Pulled, start time.Time, err error) {
	a.Time = time.Now()
	a.Seconds, a.Outcome = a.Time.Sub(start).Seconds(), stats.OK
	switch {
	case errors.Is(err, context.Canceled):
		a.Outcome = string(ErrInterrupted)
	case err != nil:
		a.Outcome = string(ClassOf(err))
	case brought != nil:
		a.Name, a.Cached, a.Fetched, a.Reused, a.Retries = brought.Name, brought.Cached, brought.BytesFetched, brought.BytesReused, brought.Retries
	}
	if err := s.acts.Add(a); err != nil {
		s.log.Debug("an act is not in the record", "kind", a.Kind, "error", err)
	}
}
