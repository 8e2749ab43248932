package mstore

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/opencontainers/go-digest"

	"github.com/mstore/mstore/blobstore"
	"github.com/mstore/mstore/fetch/source"
	"github.com/mstore/mstore/gc"
	"github.com/mstore/mstore/manifest/tags"
	"github.com/mstore/mstore/quarantine"
)

// repair mends what is bad, as far as it can: a bad blob goes to quarantine, and the models that need it are fetched
// from where they came. Manifests come first: only a good one tells which other blobs are needed, and those are looked
// at then. What could not be mended keeps the reason in Problem.
func (v *verification) repair(ctx context.Context) error {
	v.mend(ctx, v.isManifest)
	for _, b := range v.report.Bad {
		for _, n := range v.needs[b.Digest] {
			v.reach(n.tag)
		}
	}
	if err := v.check(ctx); err != nil {
		return err
	}
	v.mend(ctx, func(b *Bad) bool { return !v.isManifest(b) })
	return v.tidy(ctx)
}

// tidy settles what dead processes have left, where the whole store is verified. What a bad manifest needs is not
// known, so that it waits until the manifest is right.
func (v *verification) tidy(ctx context.Context) error {
	if !v.everything {
		return nil
	}
	done, err := v.store.collector().Tidy(ctx)
	v.report.FreedBytes = done.FreedBytes + done.ReapedBytes
	if errors.Is(err, gc.ErrUnreadable) && len(v.report.Bad) > v.report.Repaired {
		return nil
	}
	return err
}

func (v *verification) isManifest(b *Bad) bool {
	return slices.ContainsFunc(v.needs[b.Digest], func(n need) bool { return n.tag.Descriptor.Digest == b.Digest })
}

// mend mends those of the bad that are chosen.
func (v *verification) mend(ctx context.Context, chosen func(*Bad) bool) {
	for i := range v.report.Bad {
		b := &v.report.Bad[i]
		if !chosen(b) {
			continue
		}
		var err error
		switch {
		case b.Digest != "":
			b.Names = v.names(b.Digest)
			err = v.repairBlob(ctx, b.Digest)
		case len(b.Names) > 0: // index.json
			err = v.store.tags.RebuildIndex(ctx)
		default: // a tag that cannot be read: only a person knows what it named
			continue
		}
		if err != nil {
			b.Problem += fmt.Sprintf("; not repaired: %v", err)
			continue
		}
		b.Repaired = true
		v.report.Repaired++
	}
}

func (v *verification) repairBlob(ctx context.Context, d digest.Digest) error {
	if len(v.needs[d]) == 0 && len(v.unread) > 0 {
		some := slices.Sorted(maps.Keys(v.unread))[0]
		return fmt.Errorf("nobody knows what needs it while %s cannot be read", some)
	}
	if v.store.blobs.Check(ctx, d, nil) == nil { // it came with the repair of another
		return nil
	}
	err := v.store.blobs.Expel(ctx, d, func(path string) error {
		return v.store.ward.Hold(ctx, path, quarantine.Report{
			Wanted: d, Name: v.first(d), Verdict: quarantine.Corrupt, Reason: "found by verify",
		})
	})
	if err != nil && !errors.Is(err, blobstore.ErrNotFound) {
		return err
	}
	if len(v.needs[d]) == 0 { // nothing names it: it is gone, and that is right
		return nil
	}
	var errs []string
	for _, need := range v.needs[d] {
		err := v.store.refetch(ctx, need.tag)
		if v.store.blobs.Check(ctx, d, nil) == nil { // also where others of the model could not be had
			return nil
		}
		if err != nil {
			errs = append(errs, err.Error())
		}
	}
	if len(errs) == 0 {
		return v.store.blobs.Check(ctx, d, nil)
	}
	return errors.New(strings.Join(slices.Compact(errs), "; "))
}

// refetch brings in what is missing of a tag's model, from where it came, and moves no tag.
func (s *Store) refetch(ctx context.Context, tag tags.Tag) error {
	if tag.Source.Reference == "" {
		return fmt.Errorf("nothing is known of where %s came from", tag.Name)
	}
	ref, err := exactly(tag)
	if err != nil {
		return err
	}
	if err := s.offline(ref.world); err != nil {
		return fmt.Errorf("%s: %w", tag.Source.Reference, err)
	}
	src := s.sources.of(ref.world)
	if src == nil {
		return fmt.Errorf("%s came from %q, which is no source", tag.Name, tag.Source.Reference)
	}
	opts := source.Options{PlainHTTP: tag.Source.PlainHTTP}
	opts.SetFilter(tag.Source.Filter)
	return s.puller().Restore(ctx, src, ref.rest, tag, opts)
}
