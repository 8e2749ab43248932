package tags

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/mstore/mstore/internal/durable"
	"github.com/mstore/mstore/internal/flock"
)

var (
	// ErrNotFound reports a name that is no tag. It is fs.ErrNotExist too.
	ErrNotFound error = notFoundError{}
	// ErrName reports a string that cannot be the name of a tag.
	ErrName = errors.New("not a name for a model")
	// ErrMoved reports a tag that means another manifest than the caller thought, and was left as it is.
	ErrMoved = errors.New("the tag was moved meanwhile")
	// ErrUnreadable reports a tag whose file is there and cannot be read, or is not a tag. Nobody knows what it keeps.
	ErrUnreadable = errors.New("unreadable tag")
	// ErrStaleIndex reports an index.json that is not what the tags say.
	ErrStaleIndex = errors.New("index.json is not what the tags say")
)

type notFoundError struct{}

func (notFoundError) Error() string        { return "no such tag" }
func (notFoundError) Is(target error) bool { return target == fs.ErrNotExist }

// Source is where a tag's model came from, enough to ask there for something newer.
type Source struct {
	Reference string        `json:"reference,omitempty"`
	Digest    digest.Digest `json:"digest,omitempty"`   // what the reference named: a manifest or an index
	Platform  string        `json:"platform,omitempty"` // that was chosen from an index; empty: nobody chose, it was the machine's
	Filter    string        `json:"filter,omitempty"`   // which of its files were taken; empty: all
	PlainHTTP bool          `json:"plainHTTP,omitempty"`
	Revision  string        `json:"revision,omitempty"`
	Validator string        `json:"validator,omitempty"`
}

// Tag is a name and what it means.
type Tag struct {
	Name       string             `json:"name"`
	Descriptor ocispec.Descriptor `json:"descriptor"` // of the manifest
	Bytes      int64              `json:"bytes"`      // of the whole model
	Files      int                `json:"files"`
	Kind       string             `json:"kind,omitempty"`
	Source     Source             `json:"source,omitzero"`
	Created    time.Time          `json:"created"`
	LastUsed   time.Time          `json:"-"` // the file's modification time; Set and Touch make it now
	Pinned     bool               `json:"-"` // Pin and Unpin change it, Set does not
}

// Options of Open. The zero value is a store of one user.
type Options struct {
	// Shared makes what is created writable for the group of the folder.
	Shared bool
	// Log hears of tags that were left out of index.json. Nil: nobody does.
	Log *slog.Logger
	// Unlisted tells which tags index.json leaves out, since other tools cannot read their models as they are now. It is
	// asked anew each time that the index is built. Nil: none.
	Unlisted func() (func(Tag) bool, error)
	// Now is the time that Touch sets, and Set for a Tag that has no Created. Nil: the machine's.
	Now func() time.Time
}

// Tags is the names of one store. It holds nothing open; its methods may be called from several goroutines.
type Tags struct {
	root string
	opts Options
}

// maxTag is the most bytes of a tag's file that are read: far more than any has.
const maxTag = 64 << 10

// Open makes the folders of tags in the store at root, where they are missing, and an index.json where there is none.
func Open(root string, opts Options) (*Tags, error) {
	if opts.Log == nil {
		opts.Log = slog.New(slog.DiscardHandler)
	}
	t := &Tags{root, opts}
	for _, dir := range []string{t.tagDir(), t.pinDir(), t.lockDir()} {
		if err := t.mkdir(dir); err != nil {
			return nil, fmt.Errorf("open tags: %w", err)
		}
	}
	if _, err := os.Lstat(t.indexPath()); errors.Is(err, fs.ErrNotExist) {
		if err := t.RebuildIndex(context.Background()); err != nil {
			return nil, fmt.Errorf("open tags: %w", err)
		}
	}
	return t, nil
}

func (t *Tags) mkdir(dir string) error {
	if _, err := os.Stat(dir); err == nil {
		return nil
	}
	if err := durable.MkdirAll(dir, 0o755); err != nil || !t.opts.Shared {
		return err
	}
	return durable.ChmodPath(dir, 0o775|fs.ModeSetgid) // the umask may have taken the group's bit
}

func (t *Tags) tagDir() string             { return filepath.Join(t.root, "tags") }
func (t *Tags) pinDir() string             { return filepath.Join(t.root, "pins") }
func (t *Tags) lockDir() string            { return filepath.Join(t.root, "locks") }
func (t *Tags) indexPath() string          { return filepath.Join(t.root, "index.json") }
func (t *Tags) tagPath(file string) string { return filepath.Join(t.tagDir(), file) }
func (t *Tags) pinPath(file string) string { return filepath.Join(t.pinDir(), file) }

func (t *Tags) perm() fs.FileMode {
	if t.opts.Shared {
		return 0o664
	}
	return 0o644
}

func (t *Tags) now() time.Time {
	if t.opts.Now != nil {
		return t.opts.Now()
	}
	return time.Now()
}

// lock takes the lock of one tag.
func (t *Tags) lock(ctx context.Context, file string) (unlock func() error, err error) {
	return flock.Lock(ctx, filepath.Join(t.lockDir(), "tag-"+file))
}

// Get is the tag called name. The errors are ErrName, ErrNotFound, ErrUnreadable.
func (t *Tags) Get(name string) (Tag, error) {
	file, err := escape(name)
	if err != nil {
		return Tag{}, err
	}
	tag, err := t.read(file)
	if err != nil {
		return Tag{}, err
	}
	tag.Pinned = t.pinned(file)
	return tag, nil
}

func (t *Tags) pinned(file string) bool {
	_, err := os.Lstat(t.pinPath(file))
	return err == nil
}

// Set makes each tag mean what it says, whatever it meant before, and now is its last use; LastUsed and Pinned of the
// argument do not matter. Each is durable before the next, then index.json is rebuilt once. Of two tags with one name
// the last counts. All are checked before the first is written: the errors are ErrName, and one without sentinel
// for a tag without digest. On any other error some tags may have been set, each of them wholly.
func (t *Tags) Set(ctx context.Context, tags ...Tag) error {
	files := make([]string, len(tags))
	for i, tag := range tags {
		file, err := escape(tag.Name)
		if err != nil {
			return err
		}
		if tag.Descriptor.Digest == "" {
			return fmt.Errorf("tag %q: no digest", tag.Name)
		}
		files[i] = file
	}
	for i, tag := range tags {
		if err := t.set(ctx, files[i], tag); err != nil {
			return fmt.Errorf("tag %q: %w", tag.Name, err)
		}
	}
	return t.RebuildIndex(ctx)
}

func (t *Tags) set(ctx context.Context, file string, tag Tag) (err error) {
	if tag.Created.IsZero() {
		tag.Created = t.now()
	}
	data, err := encode(tag)
	if err == nil && len(data) > maxTag {
		err = fmt.Errorf("a tag of %d bytes", len(data))
	}
	if err != nil {
		return err
	}
	unlock, err := t.lock(ctx, file)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, unlock()) }()
	return durable.WriteFile(t.tagPath(file), data, t.perm())
}

// sortByName puts tags in the order in which List has them.
func sortByName(tags []Tag) {
	slices.SortFunc(tags, func(a, b Tag) int { return strings.Compare(a.Name, b.Name) })
}
