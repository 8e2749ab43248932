package gc_test

import (
	"os"
	"path/filepath"
	"testing"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/mstore/mstore/manifest/tags"
)

func TestWhatStaysAndWhatGoes(t *testing.T) {
	type kept = []ocispec.Descriptor
	for name, prepare := range map[string]func(w *world) (stays kept, drop []tags.Tag){
		"an empty store": func(*world) (kept, []tags.Tag) { return nil, nil },
		"loose blobs go": func(w *world) (kept, []tags.Tag) {
			w.blob("a")
			w.blob("b")
			return nil, nil
		},
		"a tag keeps manifest, config and layers": func(w *world) (kept, []tags.Tag) {
			f, g := w.blob("f"), w.blob("g")
			w.blob("loose")
			m := w.manifest(f, g)
			w.tag("m", m)
			return kept{f, g, m, w.blob("{}")}, nil
		},
		"a manifest without a tag goes with its layers": func(w *world) (kept, []tags.Tag) {
			w.manifest(w.blob("f"))
			return nil, nil
		},
		"a shared blob stays with the model that is left": func(w *world) (kept, []tags.Tag) {
			shared, own := w.blob("shared"), w.blob("own")
			m, n := w.manifest(shared, own), w.manifest(shared, w.blob("other"))
			w.tag("m", m)
			return kept{shared, own, m, w.blob("{}")}, []tags.Tag{w.tag("n", n)}
		},
		"two tags of one manifest, one dropped": func(w *world) (kept, []tags.Tag) {
			f := w.blob("f")
			m := w.manifest(f)
			w.tag("stays", m)
			return kept{f, m, w.blob("{}")}, []tags.Tag{w.tag("goes", m)}
		},
		"a pinned tag is not dropped": func(w *world) (kept, []tags.Tag) {
			f := w.blob("f")
			m := w.manifest(f)
			tag := w.tag("pinned", m)
			w.must(w.tags.Pin("pinned"))
			return kept{f, m, w.blob("{}")}, []tags.Tag{tag}
		},
		"a tag in use is not dropped": func(w *world) (kept, []tags.Tag) {
			f := w.blob("f")
			m := w.manifest(f)
			w.lease(m.Digest)
			return kept{f, m, w.blob("{}")}, []tags.Tag{w.tag("used", m)}
		},
		"a tag that moved since it was listed is not dropped": func(w *world) (kept, []tags.Tag) {
			old := w.tag("moved", w.manifest(w.blob("old")))
			f := w.blob("new")
			m := w.manifest(f)
			w.tag("moved", m)
			return kept{f, m, w.blob("{}")}, []tags.Tag{old}
		},
		"a tag that is no more is no fault": func(w *world) (kept, []tags.Tag) {
			return nil, []tags.Tag{{Name: "none", Descriptor: w.manifest(w.blob("f"))}}
		},
		"a lease keeps a blob": func(w *world) (kept, []tags.Tag) {
			f := w.blob("f")
			w.blob("loose")
			w.lease(f.Digest)
			return kept{f}, nil
		},
		"a lease keeps a manifest with what it needs": func(w *world) (kept, []tags.Tag) {
			f := w.blob("f")
			m := w.manifest(f)
			w.lease(m.Digest)
			return kept{f, m, w.blob("{}")}, nil
		},
		"a lease keeps an index with what it needs": func(w *world) (kept, []tags.Tag) {
			f := w.blob("f")
			m := w.manifest(f)
			x := w.index(m)
			w.lease(x.Digest)
			return kept{f, m, x, w.blob("{}")}, nil
		},
		"what is leased and not a manifest keeps itself": func(w *world) (kept, []tags.Tag) {
			a, b := w.blob(`{"schemaVersion":2,"layers":`), w.blob(`{"layers":[{"digest":"`+string(w.blob("f").Digest)+`"}]}`)
			w.lease(a.Digest, b.Digest)
			return kept{a, b}, nil
		},
		"a released lease keeps nothing": func(w *world) (kept, []tags.Tag) {
			w.must(w.lease(w.blob("f").Digest).Release())
			return nil, nil
		},
		"a leased digest may be missing": func(w *world) (kept, []tags.Tag) {
			w.lease(digestOf("not here"))
			w.blob("loose")
			return nil, nil
		},
		"an index keeps those of its manifests that are here": func(w *world) (kept, []tags.Tag) {
			f := w.blob("f")
			m := w.manifest(f)
			absent := ocispec.Descriptor{MediaType: ocispec.MediaTypeImageManifest, Digest: digestOf("absent"), Size: 6}
			x := w.index(absent, m)
			w.tag("index", x)
			return kept{f, m, x, w.blob("{}")}, nil
		},
		"an index keeps entries that are no manifests": func(w *world) (kept, []tags.Tag) {
			f := w.blob("a file, listed by the index")
			x := w.index(f)
			w.tag("index", x)
			return kept{f, x}, nil
		},
		"indexes below indexes": func(w *world) (kept, []tags.Tag) {
			f := w.blob("f")
			m := w.manifest(f)
			stays := kept{f, m, w.blob("{}")}
			for range 4 {
				m = w.index(m)
				stays = append(stays, m)
			}
			w.tag("deep", m)
			return stays, nil
		},
		"a config that is a layer too": func(w *world) (kept, []tags.Tag) {
			c := w.blob("{}")
			m := w.manifest(c, c)
			w.tag("m", m)
			return kept{c, m}, nil
		},
		"a manifest that is also a layer of another one": func(w *world) (kept, []tags.Tag) {
			f := w.blob("f")
			inner := w.manifest(f)
			outer := w.manifest(inner)
			w.tag("a", outer)
			w.tag("b", inner)
			return kept{f, inner, outer, w.blob("{}")}, nil
		},
		"a layer that looks like a manifest keeps itself": func(w *world) (kept, []tags.Tag) {
			inner := w.manifest(w.blob("f"))
			outer := w.manifest(inner)
			w.tag("a", outer)
			return kept{inner, outer, w.blob("{}")}, nil
		},
		"layers that are missing": func(w *world) (kept, []tags.Tag) {
			m := w.manifest(ocispec.Descriptor{MediaType: "x/y", Digest: digestOf("absent"), Size: 6})
			w.tag("m", m)
			return kept{m, w.blob("{}")}, nil
		},
		"what lies in trash is adopted": func(w *world) (kept, []tags.Tag) {
			f, loose := w.blob("f"), w.blob("loose")
			m := w.manifest(f)
			w.tag("m", m)
			for _, d := range []ocispec.Descriptor{f, m, loose} {
				_, err := w.store.Trash(d.Digest)
				w.must(err)
			}
			return kept{f, m, w.blob("{}")}, nil
		},
		"a blob in trash and in blobs": func(w *world) (kept, []tags.Tag) {
			for range 2 {
				_, err := w.store.Trash(w.blob("f").Digest)
				w.must(err)
				w.blob("f")
			}
			return nil, nil
		},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			stays, drop := prepare(w)
			foreign := plant(w)
			plan, result := w.gc(w.collector(), drop...)
			w.wantHere(stays...)
			wantAsPlanned(t, plan, result)
			for _, path := range foreign {
				if _, err := os.Lstat(path); err != nil {
					t.Errorf("what was not ours: %v", err)
				}
			}
			if plan, _ := w.gc(w.collector()); len(plan.Remove) > 0 {
				t.Errorf("a second collection would remove %v", plan.Remove)
			}
		})
	}
}

// plant puts things into the store that are no blobs, which a collector must leave alone.
func plant(w *world) []string {
	w.Helper()
	blobs := filepath.Dir(w.path(ocispec.Descriptor{Digest: digestOf("")}))
	trash := w.store.Dir("trash")
	var paths []string
	for _, dir := range []string{blobs, trash} {
		file, folder := filepath.Join(dir, "README"), filepath.Join(dir, digestOf("folder").Encoded()+".x")
		link := filepath.Join(dir, digestOf("link").Encoded())
		w.must(os.WriteFile(file, []byte("mine"), 0o644))
		w.must(os.Mkdir(folder, 0o755))
		w.must(os.Symlink(file, link))
		paths = append(paths, file, folder, link)
	}
	return paths
}
