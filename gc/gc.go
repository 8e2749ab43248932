package gc

import (
	"errors"
	"log/slog"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/mstore/mstore/blobstore"
	"github.com/mstore/mstore/manifest/tags"
)

const (
	// DoubtfulGrace is the grace period of a store whose locks do nothing: longer than any pull is likely to take, as a
	// lease there is known by its age alone.
	DoubtfulGrace = 24 * time.Hour

	// KeepIngests is how long what a dead process had fetched waits to be resumed.
	KeepIngests = 7 * 24 * time.Hour
)

// ErrUnreadable reports that a lease, a tag or a manifest could not be read: what is needed is not known, and nothing
// is removed, or nothing more. The text names the tag and the digest, and the cause is in the chain.
var ErrUnreadable = errors.New("cannot tell what is needed, so nothing is removed")

// Views are the folders in which models were laid out for reading, each named by its manifest. They are derived, may
// share the blobs' disk space, and go with their model. Remove of one that is gone is no error.
type Views interface {
	List() ([]digest.Digest, error)
	Remove(d digest.Digest) error
}

// Collector collects one store. Its methods may run beside those of any other Collector, in any process: two that
// remove the same blob share the work, and either may report it.
type Collector struct {
	Store *blobstore.Store
	Tags  *tags.Tags
	// Views of the store. Nil: it has none.
	Views Views
	// Grace keeps blobs younger than it, by their file's modification time. 0 keeps none, except where the store is
	// Doubtful: there it is DoubtfulGrace.
	Grace time.Duration
	// Log hears at debug level what is removed. Nil: slog.Default.
	Log *slog.Logger
	// Now is the time that Grace and ages count from. Nil: the machine's.
	Now func() time.Time

	// at, when not nil, is called between the steps of Plan and Run. Tests act there, or kill the process.
	at func(step)
}

// step names a moment of Plan or Run.
type step string

const (
	stepDropped step = "dropped" // the tags are deleted
	stepHeld    step = "held"    // leases were read, tags not yet
	stepRead    step = "read"    // leases and tags were read, manifests not yet
	stepMarked  step = "marked"  // all was read for the first time
	stepMoved   step = "moved"   // a batch lies in trash
	stepDecided step = "decided" // all was read again
	stepSettled step = "settled" // the batch is gone, or back
	stepViews   step = "views"   // views are removed
)

// Removal is a blob that goes, or went. One that lies in trash and in blobs counts twice, as it does on disk.
type Removal struct {
	Digest digest.Digest
	Size   int64 // bytes
}

// Plan is what a Run is to do. It is also what a dry run shows.
type Plan struct {
	Drop       []tags.Tag      // sorted by name
	Remove     []Removal       // sorted by digest; what earlier collectors left in trash is among it
	Views      []digest.Digest // sorted
	FreedBytes int64           // the sum of Remove
	Kept       int             // blobs that stay
}

// Result is what a Run did.
type Result struct {
	Dropped     []string        // names of tags
	Removed     []Removal       // in the order in which they went
	Views       []digest.Digest // views that were removed
	FreedBytes  int64           // the sum of Removed
	Kept        int             // blobs that stayed, as far as the run got
	ReapedBytes int64           // of blobs that dead processes had begun to fetch
}

func (c *Collector) log() *slog.Logger {
	if c.Log != nil {
		return c.Log
	}
	return slog.Default()
}

func (c *Collector) reached(s step) {
	if c.at != nil {
		c.at(s)
	}
}

// grace is the grace period in force, 0 for none.
func (c *Collector) grace() time.Duration {
	if c.Grace == 0 && c.Store.Doubtful() {
		return DoubtfulGrace
	}
	return c.Grace
}

// young tells whether a blob is in its grace period.
func (c *Collector) young(info blobstore.Info) bool {
	grace := c.grace()
	return grace > 0 && c.now().Sub(info.ModTime) < grace
}

func (c *Collector) now() time.Time {
	if c.Now != nil {
		return c.Now()
	}
	return time.Now()
}
