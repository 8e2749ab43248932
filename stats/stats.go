// Package stats keeps a record of what was done in a store: a line for each pull, push, import and sweep.
//
// Any number of processes append to it, without a lock: each line is one write to the end of a file. It is bounded: a
// full file becomes the older one, and the one that was that is added to the totals, so that a total never falls. The
// record is worth less than any act that it tells of: a power cut may cost its last lines, a process that is stopped in the
// middle of Add for as long as two files take to fill loses that one, and no act fails because its line could not be
// written. The package knows nothing of models, of networks, and of what the names in it mean.
package stats

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/mstore/mstore/internal/durable"
	"github.com/mstore/mstore/internal/flock"
)

// Kind is what was done.
type Kind string

// The kinds.
const (
	Pull   Kind = "pull"
	Push   Kind = "push"
	Import Kind = "import"
	Sweep  Kind = "gc"
)

// OK is the outcome of what succeeded; any other is the class of an error.
const OK = "ok"

// Act is one line of the record.
type Act struct {
	Time    time.Time `json:"time"` // when it ended
	Kind    Kind      `json:"kind"`
	Name    string    `json:"name,omitempty"` // of the model; at most 256 bytes of it are kept
	Outcome string    `json:"outcome"`        // OK, or a class
	Cached  bool      `json:"cached,omitempty"`
	Fetched int64     `json:"fetched,omitempty"` // bytes that moved over the network
	Reused  int64     `json:"reused,omitempty"`  // bytes that were in the store
	Seconds float64   `json:"seconds,omitempty"`
	Retries int       `json:"retries,omitempty"`
	Removed int       `json:"removed,omitempty"` // blobs
	Freed   int64     `json:"freed,omitempty"`   // bytes
}

const (
	newest = "acts.jsonl"
	older  = "acts.old.jsonl"
	totals = "totals.json"

	// mostBytes is how large a file may become, near enough.
	mostBytes = 1 << 20
	// mostName is how much of a name is kept, in bytes, so that a line is written whole.
	mostName = 256
)

// Log is the record of one store. Its methods may be called from several goroutines and processes at once.
type Log struct {
	dir, lock string
	most      int64
}

// Open opens the record in the folder dir, which is made when the first act is added. lock is the path of the file that
// guards the change from one file to the next.
func Open(dir, lock string) *Log { return &Log{dir: dir, lock: lock, most: mostBytes} }

// Add appends an act.
func (l *Log) Add(a Act) error {
	a.Name = strings.ToValidUTF8(a.Name[:min(len(a.Name), mostName)], "")
	raw, err := json.Marshal(a)
	if err != nil {
		return err
	}
	size, err := l.append(slices.Concat([]byte("\n"), raw, []byte("\n"))) // a line that a kill cut off ends where this one begins
	if err != nil {
		return fmt.Errorf("record: %w", err)
	}
	if size < l.most {
		return nil
	}
	return l.turn()
}

// append writes raw to the end of the newest file, in one call, and tells how large that is then.
func (l *Log) append(raw []byte) (size int64, err error) {
	path := filepath.Join(l.dir, newest)
	f, err := durable.OpenFile(path, os.O_WRONLY|os.O_APPEND, 0)
	if errors.Is(err, fs.ErrNotExist) {
		f, err = l.create(path)
	}
	if err != nil {
		return 0, err
	}
	_, err = durable.Write(f, raw)
	if info, statErr := f.Stat(); err == nil && statErr == nil {
		size = info.Size()
	}
	return size, errors.Join(err, f.Close())
}

// create makes the newest file, and its folder, for all who may write to the folder above.
func (l *Log) create(path string) (*os.File, error) {
	above, err := os.Stat(filepath.Dir(l.dir))
	if err != nil {
		return nil, err
	}
	if err := durable.MkdirAll(l.dir, 0o755); err != nil {
		return nil, err
	}
	f, err := durable.OpenFile(path, os.O_WRONLY|os.O_APPEND|os.O_CREATE, 0o644)
	if err != nil || above.Mode()&groupMayWrite == 0 {
		return f, err
	}
	_ = durable.Chmod(f, 0o664) // when another user has made it just now, that user does this
	if dir, err := os.Open(l.dir); err == nil {
		_ = errors.Join(durable.Chmod(dir, fs.ModeSetgid|0o775), dir.Close())
	}
	return f, nil
}

const groupMayWrite = 0o020

// turn makes the newest file the older one, whose acts are added to the totals. Of several who try, one does it.
func (l *Log) turn() error {
	unlock, ok, err := flock.TryLock(l.lock)
	if err != nil || !ok {
		return err
	}
	defer func() { _ = unlock() }()
	info, err := os.Stat(filepath.Join(l.dir, newest))
	if errors.Is(err, fs.ErrNotExist) || err == nil && info.Size() < l.most { // somebody did
		return nil
	}
	if err != nil {
		return err
	}
	t, err := l.totals()
	if err != nil {
		return err
	}
	raw, err := readFile(filepath.Join(l.dir, older))
	if err != nil {
		return err
	}
	if id := idOf(raw); raw != nil && t.Last != id { // else a kill came after the totals were written
		each(raw, t.Sum.add)
		t.Last = id
		if err := l.keep(t); err != nil {
			return err
		}
	}
	return durable.Move(filepath.Join(l.dir, newest), filepath.Join(l.dir, older))
}

// Sum adds up what ended at since or later. The zero time is all there ever was; for any other, Sum.From may be later
// than since: what came before was forgotten one by one.
func (l *Log) Sum(since time.Time) (Sum, error) {
	const turns = 10 // that may happen while the files are read
	for range turns {
		s, whole, err := l.sum(since)
		if err != nil || whole {
			return s, err
		}
	}
	return Sum{}, errBusy
}

// errBusy: files turn faster than they are read.
var errBusy = errors.New("record: it changes too fast to be read")

// sum is Sum, whole unless the files turned meanwhile.
func (l *Log) sum(since time.Time) (s Sum, whole bool, err error) {
	t, err := l.totals()
	if err != nil {
		return s, false, err
	}
	old, err := readFile(filepath.Join(l.dir, older))
	if err != nil {
		return s, false, err
	}
	recent, err := readFile(filepath.Join(l.dir, newest))
	if err != nil {
		return s, false, err
	}
	if now, err := readFile(filepath.Join(l.dir, older)); err != nil || idOf(now) != idOf(old) {
		return s, false, err
	}
	if now, err := l.totals(); err != nil || now.Last != t.Last {
		return s, false, err
	}
	if since.IsZero() {
		s = t.Sum
	}
	add := func(a Act) {
		if !a.Time.Before(since) {
			s.add(a)
		}
	}
	if !since.IsZero() || old != nil && t.Last != idOf(old) {
		each(old, add)
	}
	each(recent, add)
	return s, true, nil
}

// kept is the file of totals.
type kept struct {
	Sum  Sum    `json:"sum"`
	Last string `json:"last"` // the id of the file that was added last
}

// totals are those of the files that are gone. A file of them that cannot be understood counts as none.
func (l *Log) totals() (kept, error) {
	var t kept
	raw, err := readFile(filepath.Join(l.dir, totals))
	if err != nil || json.Unmarshal(raw, &t) != nil {
		t = kept{}
	}
	return t, err
}

func (l *Log) keep(t kept) error {
	raw, err := json.Marshal(t)
	if err != nil {
		return err
	}
	return durable.WriteFile(filepath.Join(l.dir, totals), append(raw, '\n'), 0o644)
}
