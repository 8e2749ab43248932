package mstore_test

import (
	"strings"
	"testing"

	"github.com/mstore/mstore"
	"github.com/mstore/mstore/internal/registrytest"
)

// registries are the implementations that the main job is done with.
var registries = map[string]func(t *testing.T) string{
	"distribution": func(*testing.T) string { return fixtures.registry() },
	"crane":        func(t *testing.T) string { return registrytest.StartCrane(t).Host },
}

func TestTheMainJob(t *testing.T) {
	for name, start := range registries {
		t.Run(name, func(t *testing.T) {
			ref := start(t) + "/" + fresh(t) + ":v1"
			one, two := newStore(t), newStore(t)
			imported := load(t, one, tinyLlama, "llama")
			pushed := push(t, one, "llama", ref)
			if pushed.BytesSent != pushed.Bytes || pushed.Digest != imported.Digest || pushed.Reference != ref+"@"+imported.Digest.String() {
				t.Errorf("Push = %+v", pushed)
			}
			pulled := pull(t, two, ref, mstore.PullOptions{})
			if pulled.Name != ref || pulled.Digest != imported.Digest || pulled.Cached || pulled.BytesFetched != imported.Size {
				t.Errorf("Pull = %+v", pulled)
			}
			wantExport(t, two, ref, tinyLlama)
		})
	}
}

func TestPushAgainSendsNothing(t *testing.T) {
	for name, start := range registries {
		t.Run(name, func(t *testing.T) {
			ref := start(t) + "/" + fresh(t)
			w, change := watched(t)
			s := newStore(t, change)
			load(t, s, small(t, 1), "m")
			first := push(t, s, "m", ref+":v1")
			w.take()
			again := push(t, s, "m", ref+":v2")
			if again.BytesSent != 0 || again.BytesSkipped != first.Bytes || again.BytesMounted != 0 {
				t.Errorf("pushed again: %+v", again)
			}
			for _, r := range w.take() {
				if !strings.HasPrefix(r, "HEAD ") && !strings.Contains(r, "/manifests/") {
					t.Errorf("pushed again: %s", r)
				}
			}
		})
	}
}

func TestPushToAnotherRepositoryMounts(t *testing.T) {
	s, from, to := newStore(t), repo(t, "from"), repo(t, "to")
	published := publish(t, small(t, 1), from+":v1")
	pull(t, s, from+":v1", mstore.PullOptions{})
	pushed := push(t, s, from+":v1", to+":v1")
	if pushed.BytesMounted != published.Bytes || pushed.BytesSent != 0 {
		t.Errorf("pushed within a registry: %+v", pushed)
	}
	pulled := pull(t, newStore(t), to+":v1", mstore.PullOptions{})
	if pulled.Digest != published.Digest {
		t.Errorf("pulled %s, want %s", pulled.Digest, published.Digest)
	}
}

func TestImportKeepsEveryFileAndIsReproducible(t *testing.T) {
	s, dir := newStore(t), small(t, 1)
	first, again := load(t, s, dir, "one"), load(t, s, dir, "two:v2")
	if first.Digest != again.Digest || first.Name != "one:latest" || again.Name != "two:v2" {
		t.Errorf("imported %s as %s, then %s as %s", first.Digest, first.Name, again.Digest, again.Name)
	}
	if first.Count != 6 || len(first.Files) != 6 {
		t.Errorf("%d files: %+v", first.Count, first.Files)
	}
	wantExport(t, s, "two:v2", dir)
	if got := fileOf(t, first.Model, "model.safetensors"); got.Format != "safetensors" || got.Size != 200<<10 || got.Role != "weight" {
		t.Errorf("the weights are %+v", got)
	}
}

func TestImportOfSeveralPaths(t *testing.T) {
	s := newStore(t)
	dir := folder(t, map[string]string{"weights/model.gguf": "GGUF", "LICENSE": "MIT"})
	p, err := s.Import(t.Context(), []string{dir + "/weights", dir + "/LICENSE"}, "m", mstore.ImportOptions{})
	try(t, err)
	if p.Reference != "" || p.Count != 2 || fileOf(t, p.Model, "LICENSE").Size != 3 || fileOf(t, p.Model, "model.gguf").Size != 4 {
		t.Errorf("Import = %+v", p)
	}
	again := pull(t, s, "m", mstore.PullOptions{}) // nobody knows where it came from, and it is here
	if !again.Cached || again.Digest != p.Digest {
		t.Errorf("Pull of what was imported = %+v", again)
	}
}

func TestALargerModel(t *testing.T) {
	files := map[string]string{"config.json": "{}"}
	for i, name := range []string{"model-00001-of-00003.gguf", "model-00002-of-00003.gguf", "model-00003-of-00003.gguf"} {
		files[name] = string(content(10<<20, byte(i)))
	}
	dir, ref := folder(t, files), repo(t)+":v1"
	published := publish(t, dir, ref)
	s := newStore(t)
	pulled := pull(t, s, ref, mstore.PullOptions{Jobs: 2})
	if pulled.Digest != published.Digest || pulled.BytesFetched != pulled.Size || pulled.Retries != 0 {
		t.Errorf("Pull = %+v", pulled)
	}
	wantExport(t, s, ref, dir)
}

func TestDroppedAndCollected(t *testing.T) {
	s := newStore(t)
	load(t, s, small(t, 1), "stays")
	gone := load(t, s, small(t, 2), "goes")
	_, err := s.Remove(t.Context(), "goes")
	try(t, err)
	plan, err := s.GC(t.Context(), mstore.GCOptions{DryRun: true})
	try(t, err)
	done, err := s.GC(t.Context(), mstore.GCOptions{})
	try(t, err)
	if len(done.Removed) != len(plan.Removed) || done.FreedBytes != plan.FreedBytes || done.FreedBytes < 200<<10 {
		t.Errorf("the plan was %+v, done was %+v", plan, done)
	}
	if ok, err := s.Has(t.Context(), "goes"); ok || err != nil {
		t.Errorf("Has of what is gone = %v, %v", ok, err)
	}
	if _, err := s.Blobs().Stat(gone.Digest); err == nil {
		t.Error("the manifest of what is gone is there")
	}
	wantExport(t, s, "stays", small(t, 1))
}
