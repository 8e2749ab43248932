package mstore

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"strings"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/mstore/mstore/fetch"
	"github.com/mstore/mstore/fetch/local"
	"github.com/mstore/mstore/fetch/source"
	"github.com/mstore/mstore/fetch/transfer"
	"github.com/mstore/mstore/internal/key"
	"github.com/mstore/mstore/manifest"
	"github.com/mstore/mstore/manifest/tags"
	"github.com/mstore/mstore/stats"
)

// PullOptions say how a pull goes. The zero value is the default.
type PullOptions struct {
	// As is the name in the store; empty: the reference without its scheme.
	As string `json:"as,omitempty"`
	// Digest is what the reference must name; empty: whatever it names.
	Digest digest.Digest `json:"digest,omitempty"`
	// Platform is os/architecture[/variant], for an index; empty: what was chosen before, else this machine's.
	Platform string `json:"platform,omitempty"`
	// Include and Exclude are patterns of the files that are taken, and of those that are not: see source.Options.Takes.
	// Without Include all are.
	Include []string `json:"include,omitempty"`
	Exclude []string `json:"exclude,omitempty"`
	// To is a folder that the files are exported to when the model is here, as Export does; empty: none.
	To string `json:"to,omitempty"`
	// Priority is that beside other pulls of the Store; empty: Normal.
	Priority Priority `json:"priority,omitempty"`
	// Jobs is how many blobs move at once; 0: fetch.DefaultJobs.
	Jobs int `json:"jobs,omitempty"`
	// Retries is how often one request is tried again; 0: transfer.DefaultRetries, negative: never.
	Retries int `json:"retries,omitempty"`
	// Timeout is how long a request may go without a byte; 0: transfer.DefaultStall.
	Timeout time.Duration `json:"timeout,omitempty"`
	// PlainHTTP lets the registry be spoken to without TLS; a registry on loopback needs no word.
	PlainHTTP bool `json:"plainHTTP,omitempty"`
}

// Priority is what a pull counts beside others that want the same connections.
type Priority string

// The priorities. A High one gets twice the connections of a Normal one, and a Low one half.
const (
	High   Priority = "high"
	Normal Priority = "normal"
	Low    Priority = "low"
)

// weight is the share of the connections.
func (p Priority) weight() (int, error) {
	const low, normal, high = 1, 2, 4
	switch p {
	case High:
		return high, nil
	case Normal, "":
		return normal, nil
	case Low:
		return low, nil
	}
	return 0, usagef("%q is no priority: want high, normal or low", string(p))
}

// Pulled is what a pull or an import did.
type Pulled struct {
	Model
	Reference    string // where the model came from, as it can be asked for again
	BytesFetched int64  // that moved
	BytesReused  int64  // that were in the store, whole or in part
	Cached       bool   // nothing had to move
	Elapsed      time.Duration
	Retries      int
	To           string         // the folder that the files were exported to, absolute; empty: none
	Transfer     transfer.Stats // what its transfers did, together
	Dropped      []string       // models that went because the store exceeded its quota
	Over         int64          // bytes by which it exceeds it still
}

// Pull makes the model that ref names exist in the store, and moves the tag to it. What is there already is not
// fetched; what another process fetches is waited for; what a killed pull left is resumed. The name of a model in the
// store asks the place it came from for something newer.
//
// Errors: ErrUsage for a reference of no known form, ErrNotFound, ErrVerification, ErrQuarantined, ErrNetwork,
// ErrAuthentication, ErrStorage, ErrInterrupted. After any of them the tag is as it was, and the same pull resumes; but
// where only the export to o.To failed, the model is in the store.
func (s *Store) Pull(ctx context.Context, ref string, o PullOptions) (*Pulled, error) {
	h, err := s.StartPull(ctx, ref, o)
	if err != nil {
		return nil, err
	}
	return h.Wait(context.WithoutCancel(ctx)) // it ends with ctx, and what it said then is better than that it was
}

// pullPlan is a pull that was understood.
type pullPlan struct {
	world   world
	src     source.Source // nil: only the store can have it
	ref     string        // for the source
	typed   string
	pinned  bool      // a digest was typed, which the store has: nobody has to be asked
	offline error     // why the source must not be asked; nil: it may be
	have    *tags.Tag // what the name means now
	options fetch.Options
	asked   PullOptions // with To absolute
}

func (s *Store) planPull(typed string, o PullOptions) (*pullPlan, error) {
	p := &pullPlan{typed: typed, ref: typed, asked: o, options: fetch.Options{
		Digest: o.Digest, Jobs: o.Jobs,
		Source: source.Options{
			PlainHTTP: o.PlainHTTP, Include: o.Include, Exclude: o.Exclude,
			Transfer: transfer.Options{Retries: o.Retries, Stall: o.Timeout},
		},
	}}
	// A name that is in the store wins: it is pulled from where it came. What was imported is here, and that is all.
	if tag, err := s.lookup(typed); err == nil && comesFromElsewhere(tag) {
		p.askAgain(tag)
		o.Platform = cmp.Or(o.Platform, tag.Source.Platform)
		if p.options.Source.Filter() == "" {
			p.options.Source.SetFilter(tag.Source.Filter)
		}
		if o.As == "" {
			p.options.As = tag.Name
		}
	}
	err := p.narrow(o)
	if err == nil {
		p.asked.To, err = s.destination(o.To)
	}
	if err != nil {
		return nil, err
	}
	return p, s.choose(p)
}

// askAgain makes what was typed, a name of the tag, the reference that it came from. What was typed stays where it is
// that already and differs in a digest, or is a URL, which may have a password in it that is not kept.
func (p *pullPlan) askAgain(tag tags.Tag) {
	name, pin, _ := parseName(p.typed) // which a URL need not be
	p.pinned = pin != ""
	p.options.Digest = cmp.Or(p.options.Digest, pin)
	ref, err := parseReference(p.typed)
	from, _, _ := strings.Cut(strings.TrimPrefix(tag.Source.Reference, "oci://"), "@")
	if err == nil && (ref.world == onWeb || ref.world == inRegistry && from == name) {
		return
	}
	p.ref = tag.Source.Reference
}

// narrow reads those of the options that can be wrong.
func (p *pullPlan) narrow(o PullOptions) (err error) {
	if p.options.Source.Transfer.Weight, err = o.Priority.weight(); err != nil {
		return err
	}
	if err := p.options.Source.CheckPatterns(); err != nil {
		return usagef("%v", err)
	}
	if o.Digest != "" {
		if _, err = key.Parse(o.Digest); err != nil {
			return err
		}
	}
	if o.Platform != "" {
		if p.options.Source.Platform, err = manifest.ParsePlatform(o.Platform); err != nil {
			return err
		}
	}
	if o.As != "" {
		p.options.As, err = newName(o.As)
	}
	return err
}

func comesFromElsewhere(tag tags.Tag) bool {
	return tag.Source.Reference != "" && !strings.HasPrefix(tag.Source.Reference, "file:")
}

// choose finds the source of a pull, and what the store has under its name.
func (s *Store) choose(p *pullPlan) error {
	ref, err := parseReference(p.ref)
	if err != nil {
		return err
	}
	p.world, p.ref = ref.world, ref.rest
	p.src = s.sources.of(ref.world)
	p.offline = s.offline(ref.world)
	if p.options.As == "" {
		p.options.As, err = ref.name()
	}
	if err != nil || p.options.As == "" {
		return err
	}
	tag, err := s.tags.Get(p.options.As)
	switch {
	case errors.Is(err, tags.ErrNotFound):
		return nil
	case err == nil:
		p.have = &tag
	}
	return err
}

// present answers a pull from the store alone.
func (s *Store) present(p *pullPlan, start time.Time) (*Pulled, error) {
	missing := error(&NotFoundError{Name: p.typed})
	if p.offline != nil {
		missing = fmt.Errorf("%s is not in the store: %w", p.typed, p.offline)
	}
	if p.have == nil || !fetch.Fits(*p.have, p.options) {
		return nil, missing
	}
	if want := p.options.Digest; want != "" && want != p.have.Descriptor.Digest && want != p.have.Source.Digest {
		return nil, missing
	}
	r, err := s.puller().Present(*p.have)
	if errors.Is(err, fs.ErrNotExist) && p.offline != nil { // part of it is lost, and only the network has it
		return nil, fmt.Errorf("%v: %w", err, p.offline) //nolint:errorlint // that it is offline is what can be changed
	}
	if err != nil {
		return nil, err
	}
	return s.pulled(r, start), nil
}

func (s *Store) pulled(r *fetch.Result, start time.Time) *Pulled {
	return &Pulled{
		Model: *s.model(r.Tag, r.Manifest), Reference: r.Tag.Source.Reference, BytesFetched: r.Fetched,
		BytesReused: r.Reused, Cached: r.Cached, Elapsed: time.Since(start), Retries: r.Retries,
		Transfer: r.Transfer,
	}
}

// ImportOptions say how an import goes. The zero value is the default.
type ImportOptions struct {
	Jobs int // files at once; 0: fetch.DefaultJobs
}

// Import makes a model of files and folders of this machine, under the name as: a folder gives what is in it, a file
// its base name. The manifest depends on nothing but the paths and bytes. The files are only read, and are shared with
// the store by reflink where the file system can, else copied.
//
// Errors: ErrUsage for a name or a path that no model can have, or two files of one path; ErrNotFound; ErrStorage.
func (s *Store) Import(ctx context.Context, paths []string, as string, o ImportOptions) (p *Pulled, err error) {
	defer classify(&err)
	start := time.Now()
	name, err := newName(as)
	if err != nil {
		return nil, err
	}
	for _, path := range paths {
		if abs, err := filepath.Abs(path); err == nil && path != "" && s.holds(abs) {
			return nil, usagef("%s is in the store: a store is no model", path)
		}
	}
	defer func() { s.record(stats.Act{Kind: stats.Import, Name: name}, p, start, err) }()
	r, err := s.puller().Pull(ctx, local.Paths(paths), "", nil, fetch.Options{As: name, Jobs: o.Jobs})
	if err != nil {
		return nil, err
	}
	p = s.pulled(r, start)
	s.keepSpare()
	s.keepQuota(ctx, p)
	return p, nil
}
