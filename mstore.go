package mstore

import (
	"errors"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"

	"github.com/opencontainers/go-digest"

	"github.com/mstore/mstore/blobstore"
	"github.com/mstore/mstore/export"
	"github.com/mstore/mstore/fetch"
	"github.com/mstore/mstore/fetch/transfer"
	"github.com/mstore/mstore/gc"
	"github.com/mstore/mstore/manifest/tags"
	"github.com/mstore/mstore/quarantine"
	"github.com/mstore/mstore/stats"
)

// Options configure a Store. The zero value is a private store that may use the network.
type Options struct {
	// Shared makes a new store one of several users: group-writable. An existing store keeps what it was made with.
	Shared bool
	// Offline forbids the network: what is not in the store fails with ErrNetwork at once.
	Offline bool
	// PlainHTTP are the registries, as host or host:port, that are spoken to without TLS. Those on loopback need no word.
	PlainHTTP []string
	// Mirrors are, for a registry, others that may have its blobs in repositories of the same names. They share the work
	// by what they deliver; what a reference means is asked of the registry itself.
	Mirrors map[string][]string
	// HTTP carries every request. Nil is a client with the proxy settings of the environment.
	HTTP *http.Client
	// Hub says how the Hugging Face Hub is spoken to.
	Hub HubOptions
	// Quota is what the store is held to: by GC, and after a pull or an import that made it exceed it.
	Quota Quota
	// Limits are on all transfers of the Store together: connections, bandwidth, memory.
	Limits transfer.Limits
	// UserAgent names the program to registries. Empty: "mstore".
	UserAgent string
	// Log gets what is worth a line. Nil: slog.Default.
	Log *slog.Logger
	// Events is told of what happens in pulls, pushes, imports and checks. It is called from several goroutines at
	// once and must return quickly. Nil: nobody is told.
	Events func(Event)
}

// Event is one thing that happened to one file of a model: see the kinds in package fetch.
type Event = fetch.Event

// Store is a folder of models. Its methods are safe for concurrent use, in any number of processes. Their errors are
// of the classes that [ClassOf] tells.
type Store struct {
	opts     Options
	log      *slog.Logger
	blobs    *blobstore.Store
	tags     *tags.Tags
	views    *export.Views
	ward     *quarantine.Ward
	engine   *transfer.Engine
	sources  sources
	requests requests
	acts     *stats.Log
}

// DefaultDir is the folder of the store where nobody says otherwise: "mstore" in the user's cache folder.
func DefaultDir() (string, error) {
	cache, err := os.UserCacheDir()
	if err != nil {
		return "", err
	}
	return filepath.Join(cache, "mstore"), nil
}

// Open opens the store in dir, making it when there is nothing. It fails with ErrStorage when dir is no store, belongs
// to somebody else, was written by a newer version, or cannot be made.
func Open(dir string, opts Options) (_ *Store, err error) {
	defer func() {
		if err != nil { // whatever is wrong with the folder, it cannot be a store
			err = &classified{ErrStorage, err}
		}
	}()
	opts.Hub = opts.Hub.withEnv()
	s := &Store{opts: opts, log: logOf(opts)}
	s.blobs, err = blobstore.Open(dir, blobstore.Options{Withheld: s.withheld, Shared: opts.Shared, Log: s.log})
	if err != nil {
		return nil, err
	}
	if s.ward, err = quarantine.Open(s.blobs.Dir("quarantine")); err == nil {
		s.tags, err = tags.Open(s.blobs.Root(), tags.Options{Shared: opts.Shared, Unlisted: s.unlisted, Log: s.log})
	}
	if err == nil {
		s.views, err = export.OpenViews(s.blobs)
	}
	if err != nil {
		return nil, errors.Join(err, s.blobs.Close())
	}
	s.engine = transfer.New(opts.Limits)
	s.sources = newSources(opts)
	s.requests = requests{s.blobs.Dir(requestsName)}
	s.acts = stats.Open(s.blobs.Dir("stats"), s.blobs.Dir("locks/stats"))
	return s, nil
}

func logOf(opts Options) *slog.Logger {
	if opts.Log != nil {
		return opts.Log
	}
	return slog.Default()
}

// Close ends the use of the store. What is under way should have ended; a Use has an end of its own.
func (s *Store) Close() error {
	s.sources.close()
	return errors.Join(s.views.Close(), s.blobs.Close())
}

// Dir is the absolute path of the store's folder.
func (s *Store) Dir() string { return s.blobs.Root() }

// Blobs is the store beneath, for programs that speak to it as oras-go's content.Storage.
func (s *Store) Blobs() *blobstore.Store { return s.blobs }

func (s *Store) withheld(d digest.Digest) bool { return s.ward.Withheld(d) }

func (s *Store) puller() *fetch.Puller {
	return &fetch.Puller{Store: s.blobs, Tags: s.tags, Engine: s.engine, Log: s.log, Events: s.opts.Events}
}

func (s *Store) collector() *gc.Collector {
	return &gc.Collector{Store: s.blobs, Tags: s.tags, Views: s.views, Log: s.log}
}
