package mstore

import (
	"context"
	"errors"
	"io/fs"
	"strings"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/mstore/mstore/blobstore"
	"github.com/mstore/mstore/fetch"
	"github.com/mstore/mstore/manifest"
	"github.com/mstore/mstore/manifest/tags"
)

// File is one file of a model.
type File struct {
	Path    string // relative and slash-separated; of an archive, the folder that it unpacks into
	Digest  digest.Digest
	Size    int64 // bytes, of the blob
	Role    manifest.Role
	Archive manifest.Archive
	Format  string // by the file's name, such as "safetensors"; empty when it says nothing
}

// Model is a model in the store.
type Model struct {
	Name     string
	Digest   digest.Digest // of the manifest
	Size     int64         // bytes of all that the manifest names, each blob once, and of itself
	Count    int           // number of files
	Kind     manifest.Kind
	Files    []File         // empty where only the tag was read
	Facts    manifest.Facts // likewise; what the model's config says, unverified
	Source   tags.Source
	Created  time.Time // when the tag was set
	LastUsed time.Time
	Pinned   bool
}

// Show tells what the store knows of a model. It is no use of it. It fails with ErrNotFound.
func (s *Store) Show(_ context.Context, name string) (_ *Model, err error) {
	defer classify(&err)
	var model *Model
	err = s.reading(name, func(tag tags.Tag) error {
		m, err := fetch.Load(s.blobs, tag)
		if err == nil {
			model = s.model(tag, m)
		}
		return err
	})
	return model, err
}

// Has tells whether a model of this name is in the store, with its manifest; Verify tells whether its bytes are right.
func (s *Store) Has(_ context.Context, name string) (_ bool, err error) {
	defer classify(&err)
	tag, err := s.lookup(name)
	if err == nil {
		_, err = s.blobs.Stat(tag.Descriptor.Digest)
	}
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	return err == nil, err
}

// List gives every model by name, as their tags have them: without Files and Facts. Tags that cannot be read are an
// error beside the rest.
func (s *Store) List(context.Context) (_ []Model, err error) {
	defer classify(&err)
	all, err := s.tags.List()
	models := make([]Model, 0, len(all))
	for _, tag := range all {
		models = append(models, tagged(tag))
	}
	return models, err
}

// lookup finds the tag of a name as a person types it, or as a pull printed it: the name itself, else what the
// reference that was typed is called here.
func (s *Store) lookup(typed string) (tags.Tag, error) {
	name, pin, err := parseName(typed)
	if err == nil {
		tag, err := s.tags.Get(name)
		if err == nil && pin != "" && pin != tag.Descriptor.Digest && pin != tag.Source.Digest {
			return tags.Tag{}, &NotFoundError{Name: typed}
		}
		if !errors.Is(err, tags.ErrNotFound) {
			return tag, err
		}
	}
	ref, refErr := parseReference(typed)
	if refErr == nil && ref.world != inStore && ref.world != inRegistry {
		if name, refErr = ref.name(); refErr == nil && name != "" {
			tag, err := s.tags.Get(name)
			if !errors.Is(err, tags.ErrNotFound) {
				return tag, err
			}
		}
		err = nil
	}
	if err != nil {
		return tags.Tag{}, err
	}
	return tags.Tag{}, &NotFoundError{Name: typed}
}

// reading calls read with what a name means. What read misses may have been swept with a tag that was deleted or moved
// after it was looked up: then it is called again with what the name means by then.
func (s *Store) reading(name string, read func(tags.Tag) error) error {
	for {
		tag, err := s.lookup(name)
		if err != nil {
			return err
		}
		if err = read(tag); !errors.Is(err, blobstore.ErrNotFound) || s.means(tag) {
			return err
		}
	}
}

// means tells whether a tag is still what it was.
func (s *Store) means(tag tags.Tag) bool {
	now, err := s.tags.Get(tag.Name)
	return err == nil && now.Descriptor.Digest == tag.Descriptor.Digest && now.Created.Equal(tag.Created)
}

func tagged(tag tags.Tag) Model {
	return Model{
		Name: tag.Name, Digest: tag.Descriptor.Digest, Size: tag.Bytes, Count: tag.Files, Kind: manifest.Kind(tag.Kind),
		Source: tag.Source, Created: tag.Created, LastUsed: tag.LastUsed, Pinned: tag.Pinned,
	}
}

// model is what the tag, the manifest and the config say. A config that cannot be read says nothing.
func (s *Store) model(tag tags.Tag, m *manifest.Manifest) *Model {
	model := tagged(tag)
	for _, f := range m.Files {
		model.Files = append(model.Files, File{
			Path: f.Path, Digest: f.Descriptor.Digest, Size: f.Descriptor.Size, Role: f.Role, Archive: f.Archive,
			Format: formatOf(f.Path),
		})
	}
	config, err := s.blobs.ReadAll(m.Config.Digest, manifest.MaxSize)
	if err == nil {
		model.Facts, err = manifest.ReadConfig(m, config)
	}
	if err != nil {
		s.log.Debug("the config of a model says nothing", "model", tag.Name, "error", err)
	}
	return &model
}

// formatOf is the format that a file's name says it has.
func formatOf(path string) string {
	base := strings.ToLower(path[strings.LastIndexByte(path, '/')+1:])
	dot := strings.LastIndexByte(base, '.')
	if dot <= 0 {
		return ""
	}
	return base[dot+1:]
}
