package gc

import (
	"context"

	"github.com/opencontainers/go-digest"

	"github.com/mstore/mstore/manifest/tags"
)

// Weight is what one tag's model takes.
type Weight struct {
	Tag   tags.Tag
	Bytes int64 // of all its blobs
	Alone int64 // of those that nothing else needs: what dropping the tag would free
}

// Weights are what the models of a store take.
type Weights struct {
	Models []Weight // by name
	Needed int64    // bytes of the blobs that tags and leases reach, each once
	Apart  int64    // bytes that the models would take if each had its blobs for itself; names of one model count once
	Tagged int64    // bytes of the blobs that tags reach, each once
}

// Weigh adds up what the models take. It changes nothing that Plan does not; the errors are those of Plan.
func (c *Collector) Weigh(ctx context.Context) (*Weights, error) {
	m := newMarker(c)
	r, err := m.roots()
	if err != nil {
		return nil, err
	}
	if _, err := m.mark(ctx, r); err != nil {
		return nil, err
	}
	b := newBalance()
	held := newWalk(m.known)
	for d := range r.held {
		held.reach(d)
	}
	if _, err := b.need(ctx, c.Store, held.live, nil); err != nil {
		return nil, err
	}
	onlyHeld := b.size
	models := make([]*candidate, len(r.tags))
	for i, tag := range r.tags {
		models[i] = &candidate{tag: tag}
		w := newWalk(m.known)
		w.reach(tag.Descriptor.Digest)
		if models[i].blobs, err = b.need(ctx, c.Store, w.live, models[i]); err != nil {
			return nil, err
		}
	}
	b.settle()
	weights := &Weights{Needed: b.size, Tagged: b.size - onlyHeld}
	for d := range held.live {
		if w := b.blobs[d]; w.needs > 1 {
			weights.Tagged += w.bytes
		}
	}
	seen := make(map[digest.Digest]struct{})
	for _, model := range models {
		weight := Weight{Tag: model.tag, Alone: model.alone}
		for _, w := range model.blobs {
			weight.Bytes += w.bytes
		}
		weights.Models = append(weights.Models, weight)
		if _, twice := seen[model.tag.Descriptor.Digest]; !twice {
			seen[model.tag.Descriptor.Digest] = struct{}{}
			weights.Apart += weight.Bytes
		}
	}
	return weights, nil
}
