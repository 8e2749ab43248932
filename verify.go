package mstore

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"runtime"
	"slices"
	"sync"

	"github.com/opencontainers/go-digest"
	"golang.org/x/sync/errgroup"

	"github.com/mstore/mstore/blobstore"
	"github.com/mstore/mstore/fetch"
	"github.com/mstore/mstore/manifest/tags"
)

// VerifyOptions say what is verified. The zero value is everything, and mends nothing.
type VerifyOptions struct {
	Names []string // models; none: every blob of the store, and all that tags name
	// Repair moves bad blobs to quarantine and fetches them again. Of the whole store it also rebuilds what is derived and
	// settles what dead processes have left: leases, partial blobs that nobody will resume, blobs moved aside by a sweep,
	// which go back where a model needs them.
	Repair bool
}

// VerifyReport is what a verification found.
type VerifyReport struct {
	Checked  int   // blobs that were read in full
	Bytes    int64 // of these
	Bad      []Bad
	Foreign  []string // paths in blobs/ that are no blobs; they are left alone
	Repaired int      // how many of Bad are right now
	// FreedBytes is, of a repair of the whole store, what dead processes had left and nobody needs: blobs that they had
	// moved aside, and partial ones.
	FreedBytes int64
}

// Bad is one thing that is not as it should be.
type Bad struct {
	Digest   digest.Digest // empty when it is no blob
	Names    []string      // what needs it: names of models, with "/" and the path of the file
	Problem  string
	Repaired bool
}

// Verify reads blobs in full and compares them with their digests, on all cores, and looks whether everything is there
// that tags name. What it finds is in the report; the error is then ErrVerification, unless all of it was repaired.
func (s *Store) Verify(ctx context.Context, o VerifyOptions) (_ *VerifyReport, err error) {
	defer classify(&err)
	v := &verification{
		store: s, needs: make(map[digest.Digest][]need), unread: make(map[string]struct{}),
		sizes: make(map[digest.Digest]int64), checked: make(map[digest.Digest]struct{}), everything: len(o.Names) == 0,
	}
	if err := v.gather(ctx, o.Names); err != nil {
		return nil, err
	}
	if err := v.check(ctx); err != nil {
		return nil, err
	}
	v.checkIndexAgain()
	if o.Repair {
		s.giveUpSpare()
		defer s.keepSpare()
		if err := v.repair(ctx); err != nil {
			return nil, err
		}
	}
	slices.SortFunc(v.report.Bad, func(a, b Bad) int { return cmp.Compare(a.Digest, b.Digest) })
	if left := len(v.report.Bad) - v.report.Repaired; left > 0 {
		return &v.report, &classified{ErrVerification, fmt.Errorf("%d of the things verified are bad", left)}
	}
	return &v.report, ctx.Err()
}

// need is one reason why a blob should be there.
type need struct {
	tag  tags.Tag
	path string // in the model; empty for its manifest and config
}

func (n need) String() string {
	if n.path == "" {
		return n.tag.Name
	}
	return n.tag.Name + "/" + n.path
}

// verification is one Verify under way.
type verification struct {
	store   *Store
	needs   map[digest.Digest][]need
	unread  map[string]struct{} // tags, of which nobody knows what they need
	sizes   map[digest.Digest]int64
	checked map[digest.Digest]struct{}

	everything bool   // no names were given
	staleIndex string // the state of index.json when it was not what the tags say; empty when it was

	mu     sync.Mutex
	report VerifyReport
}

// gather finds out what is to be checked, and why it should be there.
func (v *verification) gather(ctx context.Context, names []string) error {
	all, err := v.tags(names)
	if err != nil {
		return err
	}
	for _, tag := range all {
		v.need(tag)
	}
	if len(names) > 0 {
		return ctx.Err()
	}
	if v.store.tags.CheckIndex() != nil {
		v.staleIndex = v.store.indexState()
	}
	if v.report.Foreign, err = v.store.blobs.Foreign(); err != nil {
		return err
	}
	for d, err := range v.store.blobs.All() {
		if err != nil {
			return err
		}
		if _, ok := v.needs[d]; !ok {
			v.needs[d] = nil
		}
	}
	return ctx.Err()
}

// checkIndexAgain finds an index.json that is not what the tags say and that nobody is at work on: one that a process
// is about to write has another state by now.
func (v *verification) checkIndexAgain() {
	if v.staleIndex == "" {
		return
	}
	if err := v.store.tags.CheckIndex(); err != nil && v.store.indexState() == v.staleIndex {
		v.bad(Bad{Names: []string{"index.json"}, Problem: err.Error()})
	}
}

// indexState changes when index.json is written.
func (s *Store) indexState() string {
	info, err := os.Lstat(s.blobs.Dir("index.json"))
	if err != nil {
		return err.Error()
	}
	return fmt.Sprint(info.ModTime().UnixNano(), info.Size(), info.Mode())
}

// tags are those of the names, or all; then a tag that cannot be read is bad.
func (v *verification) tags(names []string) ([]tags.Tag, error) {
	if len(names) == 0 {
		all, err := v.store.tags.List()
		if err != nil {
			v.bad(Bad{Problem: err.Error()})
			v.unread["a tag"] = struct{}{}
		}
		return all, nil
	}
	var some []tags.Tag
	for _, name := range names {
		tag, err := v.store.lookup(name)
		if err != nil {
			return nil, err
		}
		some = append(some, tag)
	}
	return some, nil
}

// need adds all that a tag names.
func (v *verification) need(tag tags.Tag) {
	d := tag.Descriptor.Digest
	v.needs[d] = append(v.needs[d], need{tag: tag})
	v.reach(tag)
}

// reach adds what the manifest of a tag names. Of a bad one nobody knows that; it is found bad itself later.
func (v *verification) reach(tag tags.Tag) {
	m, err := fetch.Load(v.store.blobs, tag)
	if err != nil {
		v.unread[tag.Name] = struct{}{}
		return
	}
	delete(v.unread, tag.Name)
	paths := make(map[digest.Digest]string)
	for _, f := range m.Files {
		paths[f.Descriptor.Digest] = f.Path
	}
	for _, desc := range m.Blobs() {
		v.needs[desc.Digest] = append(v.needs[desc.Digest], need{tag, paths[desc.Digest]})
	}
}

// check reads every blob that was not read yet, the largest first, so that the cores end together.
func (v *verification) check(ctx context.Context) error {
	order := make([]digest.Digest, 0, len(v.needs))
	var total int64
	for d := range v.needs {
		if _, ok := v.checked[d]; ok {
			continue
		}
		v.checked[d] = struct{}{}
		order = append(order, d)
		if info, err := v.store.blobs.Stat(d); err == nil {
			v.sizes[d] = info.Size
			total += info.Size
		}
	}
	slices.SortFunc(order, func(a, b digest.Digest) int {
		return cmp.Or(cmp.Compare(v.sizes[b], v.sizes[a]), cmp.Compare(a, b))
	})
	if len(order) > 0 {
		v.store.emit(Event{Kind: fetch.Resolved, Size: total, Files: len(order)})
	}
	group, gctx := errgroup.WithContext(ctx)
	group.SetLimit(runtime.GOMAXPROCS(0))
	for _, d := range order {
		group.Go(func() error { return v.checkOne(gctx, d) })
	}
	return group.Wait()
}

func (v *verification) checkOne(ctx context.Context, d digest.Digest) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	e := Event{Kind: fetch.Start, Digest: d, Size: v.sizes[d], Path: v.first(d)}
	v.store.emit(e)
	err := v.store.blobs.Check(ctx, d, func(n int64) {
		e.Kind, e.Done = fetch.Progress, e.Done+n
		v.store.emit(e)
	})
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if errors.Is(err, blobstore.ErrNotFound) && !v.needed(d) { // swept meanwhile
		return nil
	}
	e.Kind = fetch.Done
	v.store.emit(e)
	v.mu.Lock()
	v.report.Checked++
	v.report.Bytes += e.Done
	v.mu.Unlock()
	if err != nil {
		v.bad(Bad{Digest: d, Names: v.names(d), Problem: err.Error()})
	}
	return nil
}

// needed tells whether a tag that needs the blob is still what it was.
func (v *verification) needed(d digest.Digest) bool {
	return slices.ContainsFunc(v.needs[d], func(n need) bool { return v.store.means(n.tag) })
}

func (v *verification) first(d digest.Digest) string {
	if names := v.names(d); len(names) > 0 {
		return names[0]
	}
	return ""
}

func (v *verification) names(d digest.Digest) []string {
	var names []string
	for _, n := range v.needs[d] {
		names = append(names, n.String())
	}
	slices.Sort(names)
	return slices.Compact(names)
}

func (v *verification) bad(b Bad) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.report.Bad = append(v.report.Bad, b)
}

func (s *Store) emit(e Event) {
	if s.opts.Events != nil {
		s.opts.Events(e)
	}
}
