package mstore

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/opencontainers/go-digest"

	"github.com/mstore/mstore/blobstore"
	"github.com/mstore/mstore/fetch/local"
	"github.com/mstore/mstore/fetch/source"
	"github.com/mstore/mstore/manifest/tags"
	"github.com/mstore/mstore/quarantine"
)

// repair mends what is bad, as far as it can: a bad blob goes to quarantine, and the models that need it are fetched
// from where they came. What could not be mended keeps the reason in Problem.
func (v *verification) repair(ctx context.Context) {
	for i := range v.report.Bad {
		b := &v.report.Bad[i]
		var err error
		switch {
		case b.Digest != "":
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
	var errs []error
	for _, need := range v.needs[d] {
		if err := v.store.refetch(ctx, need.tag); err != nil {
			errs = append(errs, err)
			continue
		}
		return v.store.blobs.Check(ctx, d, nil)
	}
	return errors.Join(errs...)
}

// refetch brings in what is missing of a tag's model, from where it came, and moves no tag.
func (s *Store) refetch(ctx context.Context, tag tags.Tag) error {
	if tag.Source.Reference == "" {
		return fmt.Errorf("nothing is known of where %s came from", tag.Name)
	}
	ref, err := parseReference(tag.Source.Reference)
	if err != nil {
		return err
	}
	opts := source.Options{PlainHTTP: tag.Source.PlainHTTP}
	switch {
	case ref.world == onDisk:
		return s.puller().Restore(ctx, local.Files{}, ref.rest, tag, opts)
	case ref.world == inLayout:
		return s.puller().Restore(ctx, local.Layout{}, ref.rest, tag, opts)
	case s.opts.Offline:
		return fmt.Errorf("%s: %w", tag.Source.Reference, errOffline)
	}
	pinned, _, _ := strings.Cut(ref.rest, "@")
	return s.puller().Restore(ctx, s.registry, pinned+"@"+tag.Descriptor.Digest.String(), tag, opts)
}
