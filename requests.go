package mstore

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/mstore/mstore/internal/durable"
	"github.com/mstore/mstore/internal/flock"
)

// Request is what a pull was asked for.
type Request struct {
	Reference string `json:"reference"`
	PullOptions
}

// PullRecord is a pull that has not succeeded yet.
type PullRecord struct {
	ID string
	Request
	Started time.Time
	Running bool // a process is at it, as far as locks tell
}

const (
	requestsName   = "pulls"
	requestsSuffix = ".json"
	maxRequest     = 1 << 20

	requestsFolderMode fs.FileMode = 0o777 // narrowed by the umask; who may enter is decided at the store's root
	requestMode        fs.FileMode = 0o600 // the query of a URL may hold secrets
)

// requests are the pulls of a store that have not succeeded, each a file in its folder pulls on which those who work at
// it hold a shared lock. The same request has the same file, whoever asks.
type requests struct{ dir string }

// requestFile is the file.
type requestFile struct {
	Request
	Started time.Time `json:"started"`
}

// identify makes a request what can be asked for again, in another folder too, and without what is secret in it; and
// gives its id. How patient a pull is does not make it another one.
func identify(r Request) (Request, string, error) {
	ref, err := parseReference(r.Reference)
	if err != nil {
		return r, "", err
	}
	switch ref.world {
	case onWeb:
		r.Reference = withoutUser(r.Reference)
	case onDisk, inLayout:
		abs, err := filepath.Abs(ref.rest)
		if err != nil {
			return r, "", err
		}
		r.Reference = strings.TrimSuffix(r.Reference, ref.rest) + abs
	default:
	}
	what := r
	what.Jobs, what.Retries, what.Timeout, what.Priority = 0, 0, 0, ""
	raw, err := json.Marshal(what)
	if err != nil {
		return r, "", err
	}
	sum := sha256.Sum256(raw)
	return r, hex.EncodeToString(sum[:sha256.Size/2]), nil
}

// withoutUser is a URL without a name and a password in it; text that is none is left as it is.
func withoutUser(text string) string {
	u, err := url.Parse(text)
	if err != nil || u.User == nil {
		return text
	}
	u.User = nil
	return u.String()
}

// path is the file of an id, which may come from outside.
func (s requests) path(id string) (string, error) {
	if raw, err := hex.DecodeString(id); err != nil || len(raw) != sha256.Size/2 || strings.ToLower(id) != id {
		return "", usagef("%q is no id of a pull", id)
	}
	return filepath.Join(s.dir, id+requestsSuffix), nil
}

// working is a request that this process works at.
type working struct {
	path string
	lock *flock.Shared
}

// begin puts a request into the store, for as long as the process lives at least; keep makes it outlive a power cut.
func (s requests) begin(id string, r Request) (_ *working, err error) {
	path, err := s.path(id)
	if err != nil {
		return nil, err
	}
	if err := durable.MkdirAll(s.dir, requestsFolderMode); err != nil {
		return nil, err
	}
	if _, err := s.read(path); err != nil {
		if err := s.write(path, requestFile{r, time.Now().UTC()}); err != nil {
			return nil, err
		}
	}
	lock, err := flock.Share(path)
	if err != nil {
		return nil, err
	}
	return &working{path, lock}, nil
}

// write makes the file appear whole.
func (s requests) write(path string, f requestFile) (err error) {
	raw, err := json.Marshal(f)
	if err != nil {
		return err
	}
	temp, err := durable.CreateTemp(s.dir)
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, durable.Delete(temp.Name()))
		}
	}()
	_, err = durable.Write(temp, append(raw, '\n'))
	if err = errors.Join(err, durable.Chmod(temp, requestMode), temp.Close()); err != nil {
		return err
	}
	return durable.Move(temp.Name(), path)
}

// keep makes the request durable.
func (w *working) keep() error {
	f, err := os.OpenFile(w.path, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	if err := errors.Join(durable.SyncFile(f), f.Close()); err != nil {
		return err
	}
	return durable.SyncDir(filepath.Dir(w.path))
}

// end ends the work. What is done is forgotten.
func (w *working) end(done bool) error {
	err := w.lock.Release() // before: Windows removes no file that is open
	if !done {
		return err
	}
	gone := durable.Delete(w.path)
	if errors.Is(gone, fs.ErrNotExist) { // somebody else was at the same
		gone = nil
	}
	return errors.Join(err, gone)
}

// read reads one file. What is no request is fs.ErrNotExist too.
func (s requests) read(path string) (requestFile, error) {
	var f requestFile
	info, err := os.Lstat(path)
	if err != nil {
		return f, err
	}
	if !info.Mode().IsRegular() || info.Size() > maxRequest {
		return f, fs.ErrNotExist
	}
	raw, err := os.ReadFile(path)
	if err != nil {
		return f, err
	}
	if json.Unmarshal(raw, &f) != nil || f.Reference == "" {
		return requestFile{}, fs.ErrNotExist
	}
	return f, nil
}

// get is the record of an id.
func (s requests) get(id string) (PullRecord, error) {
	path, err := s.path(id)
	if err != nil {
		return PullRecord{}, err
	}
	f, err := s.read(path)
	if errors.Is(err, fs.ErrNotExist) {
		err = &NotFoundError{Name: id}
	}
	if err != nil {
		return PullRecord{}, err
	}
	return PullRecord{ID: id, Request: f.Request, Started: f.Started, Running: s.running(path)}, nil
}

// running tells whether somebody holds the lock of a request.
func (s requests) running(path string) bool {
	unlock, ok, err := flock.TryLockSame(path)
	if err != nil {
		return false
	}
	if ok {
		_ = unlock() // it was only a look
	}
	return !ok
}

// list are the records, the oldest first. What cannot be read, as that of another user, is left out.
func (s requests) list() ([]PullRecord, error) {
	entries, err := os.ReadDir(s.dir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("list pulls: %w", err)
	}
	var all []PullRecord
	for _, e := range entries {
		id, ok := strings.CutSuffix(e.Name(), requestsSuffix)
		if !ok {
			continue
		}
		if r, err := s.get(id); err == nil {
			all = append(all, r)
		}
	}
	slices.SortFunc(all, func(a, b PullRecord) int {
		return cmp.Or(a.Started.Compare(b.Started), cmp.Compare(a.ID, b.ID))
	})
	return all, nil
}

// forget removes a record.
func (s requests) forget(id string) error {
	path, err := s.path(id)
	if err != nil {
		return err
	}
	err = durable.Remove(path)
	if err != nil {
		return fmt.Errorf("forget pull %s: %w", id, err)
	}
	return nil
}
