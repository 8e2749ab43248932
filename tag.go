package mstore

import (
	"context"
	"errors"
	"time"

	"github.com/mstore/mstore/manifest/tags"
)

// Tag gives the model called name another name, which moves when it is one already. It returns the model under its
// new name.
func (s *Store) Tag(ctx context.Context, name, as string) (_ *Model, err error) {
	defer classify(&err)
	newName, err := newName(as)
	if err != nil {
		return nil, err
	}
	use, err := s.hold(name)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, use.Release()) }()
	tag := use.tag
	tag.Name, tag.Created = newName, time.Now()
	if err := s.tags.Set(ctx, tag); err != nil {
		return nil, err
	}
	if set, err := s.tags.Get(newName); err == nil { // with its pin; somebody may have deleted it again
		tag = set
	}
	return s.model(tag, use.manifest), nil
}

// Remove deletes the name; GC removes what no other name needs. It returns what the name meant, as List does.
// A pinned model stays, and is ErrUsage: unpin it first.
func (s *Store) Remove(ctx context.Context, name string) (_ *Model, err error) {
	defer classify(&err)
	s.giveUpSpare()
	tag, err := s.lookup(name)
	if errors.Is(err, tags.ErrUnreadable) { // nobody knows what it named: that is why it goes
		name, _, _ = parseName(name)
		return &Model{Name: name}, s.tags.Delete(ctx, name, "")
	}
	if err != nil {
		return nil, err
	}
	if tag.Pinned {
		return nil, usagef("%s is pinned: `mstore unpin` it first", tag.Name)
	}
	if err := s.tags.Delete(ctx, tag.Name, tag.Descriptor.Digest); err != nil {
		return nil, err
	}
	model := tagged(tag)
	return &model, nil
}

// Pin keeps a model from being dropped by any policy, and by GC with All.
func (s *Store) Pin(_ context.Context, name string) (err error) {
	defer classify(&err)
	tag, err := s.lookup(name)
	if err != nil {
		return err
	}
	return s.tags.Pin(tag.Name)
}

// Unpin takes the wish of Pin back.
func (s *Store) Unpin(_ context.Context, name string) (err error) {
	defer classify(&err)
	tag, err := s.lookup(name)
	if err != nil {
		return err
	}
	return s.tags.Unpin(tag.Name)
}
