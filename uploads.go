package mstore

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/mstore/mstore/fetch/registry"
	"github.com/mstore/mstore/internal/durable"
	"github.com/mstore/mstore/internal/flock"
)

const (
	uploadsName = "uploads"
	// uploadsAge is how long registries keep an upload that nobody goes on with; a note of one is of no use any more.
	uploadsAge = 7 * 24 * time.Hour

	uploadsFolderMode fs.FileMode = 0o777 // narrowed by the umask; who may enter is decided at the store's root
	uploadMode        fs.FileMode = 0o600 // the URL may hold secrets
)

// uploads are the sessions of one push, in the store's folder uploads: for each a file with its URL, for the push that
// comes next when this one is killed, and a lock, so that two pushes at once do not go on with one session. Nothing of
// it must survive a power cut: what cannot be written or read costs bytes that are sent again.
type uploads struct {
	dir string
	log *slog.Logger

	mu   sync.Mutex
	held map[string]func() error // the locks, by name
}

var _ registry.Sessions = (*uploads)(nil)

// uploadNote is the file.
type uploadNote struct {
	Blob   string `json:"blob"`   // its URL
	Upload string `json:"upload"` // where it goes on
}

// openUploads makes the folder, and throws away what is too old in it.
func openUploads(dir string, log *slog.Logger) *uploads {
	u := &uploads{dir: dir, log: log, held: make(map[string]func() error)}
	if err := durable.MkdirAll(dir, uploadsFolderMode); err != nil {
		log.Warn("uploads that break off will begin anew", "error", err)
		return u
	}
	entries, _ := os.ReadDir(dir) // what cannot be read now is thrown away another time
	for _, e := range entries {
		if info, err := e.Info(); err == nil && time.Since(info.ModTime()) > uploadsAge {
			u.discard(e.Name())
		}
	}
	return u
}

// close gives the locks back.
func (u *uploads) close() error {
	u.mu.Lock()
	defer u.mu.Unlock()
	var errs []error
	for name, unlock := range u.held {
		u.discard(name + lockSuffix)
		errs = append(errs, unlock())
	}
	clear(u.held)
	return errors.Join(errs...)
}

const lockSuffix = ".lock"

// name is the file of a key. A key is a URL, with slashes.
func (u *uploads) name(key string) string {
	sum := sha256.Sum256([]byte(key))
	return hex.EncodeToString(sum[:])
}

// Load is registry.Sessions.
func (u *uploads) Load(key string) (string, bool) {
	name := u.name(key)
	unlock, ok, err := flock.TryLock(filepath.Join(u.dir, name+lockSuffix))
	if err != nil || !ok {
		u.log.Debug("an upload is not noted", "busy", err == nil, "error", err)
		return "", false
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	if _, twice := u.held[name]; twice { // where locks exclude nobody
		_ = unlock()
		return "", false
	}
	u.held[name] = unlock
	raw, err := os.ReadFile(filepath.Join(u.dir, name))
	var note uploadNote
	if err != nil || json.Unmarshal(raw, &note) != nil || note.Blob != key {
		return "", false
	}
	return note.Upload, true
}

// Save is registry.Sessions.
func (u *uploads) Save(key, url string) {
	name := u.name(key)
	if !u.holds(name) {
		return
	}
	raw, err := json.Marshal(uploadNote{key, url})
	if err == nil {
		err = durable.WriteFile(filepath.Join(u.dir, name), raw, uploadMode)
	}
	if err != nil {
		u.log.Debug("an upload is not noted", "error", err)
	}
}

// Delete is registry.Sessions.
func (u *uploads) Delete(key string) {
	if name := u.name(key); u.holds(name) {
		u.discard(name)
	}
}

func (u *uploads) holds(name string) bool {
	u.mu.Lock()
	defer u.mu.Unlock()
	_, ok := u.held[name]
	return ok
}

// discard removes a file, which may be gone.
func (u *uploads) discard(name string) {
	if err := durable.Delete(filepath.Join(u.dir, name)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		u.log.Debug("a note of an upload stays", "error", err)
	}
}
