package mstore_test

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/mstore/mstore"
	"github.com/mstore/mstore/internal/registrytest"
	"github.com/mstore/mstore/manifest"
)

// run runs a foreign program in a folder.
func run(t *testing.T, dir, tool string, args ...string) string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), registrytest.Tool(t, tool), args...)
	cmd.Dir = dir
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%s %q: %v\n%s", tool, args, err, out)
	}
	return strings.TrimSpace(string(out))
}

func TestWhatOrasPushed(t *testing.T) {
	dir, ref := folder(t, map[string]string{"model.gguf": "GGUF", "card.md": "# card"}), repo(t)+":v1"
	run(t, dir, "oras", "push", "--plain-http", "--artifact-type", "application/x-model", ref, "model.gguf", "card.md:text/markdown")
	s := newStore(t)
	p := pull(t, s, ref, mstore.PullOptions{})
	if p.Kind != manifest.KindArtifact || p.Count != 2 {
		t.Errorf("Pull = %+v", p)
	}
	wantExport(t, s, ref, dir)
	wantRepairable(t, s, p)
}

// wantRepairable loses a file and wants verify to bring it back.
func wantRepairable(t *testing.T, s *mstore.Store, p *mstore.Pulled) {
	t.Helper()
	lose(t, s, fileOf(t, p.Model, "model.gguf").Digest)
	wantRepaired(t, s, 1, p.Name)
}

func TestWhatOrasPulls(t *testing.T) {
	dir, ref := small(t, 1), repo(t)+":v1"
	publish(t, dir, ref)
	out := t.TempDir()
	run(t, out, "oras", "pull", "--plain-http", ref)
	wantSameFiles(t, dir, out)
}

func TestWhatCraneCopied(t *testing.T) {
	dir, from, to := small(t, 1), repo(t, "from")+":v1", registrytest.StartCrane(t).Host+"/copied/to:v2"
	pushed := publish(t, dir, from)
	run(t, "", "crane", "copy", "--insecure", from, to)
	s := newStore(t)
	if p := pull(t, s, to, mstore.PullOptions{}); p.Digest != pushed.Digest {
		t.Errorf("Pull = %+v", p)
	}
	wantExport(t, s, to, dir)
}

// TestAStoreIsALayout lets oras read a store's folder as the OCI layout that it is.
func TestAStoreIsALayout(t *testing.T) {
	s, dir := newStore(t), small(t, 1)
	load(t, s, dir, "Org/m:v1")
	load(t, s, small(t, 2), "n")
	out := t.TempDir()
	run(t, out, "oras", "pull", "--oci-layout-path", s.Dir(), "Org/m:v1")
	wantSameFiles(t, dir, out)
	tags := run(t, "", "oras", "repo", "tags", "--oci-layout", s.Dir())
	if !strings.Contains(tags, "Org/m:v1") || !strings.Contains(tags, "n:latest") {
		t.Errorf("oras finds the tags %q", tags)
	}
}

func TestAnIndexIsPulledByPlatform(t *testing.T) {
	ref := repo(t)
	index := ocispec.Index{MediaType: ocispec.MediaTypeImageIndex}
	index.SchemaVersion = 2
	digests := make(map[string]digest.Digest)
	for i, platform := range []string{"linux/amd64", "linux/arm64", "windows/amd64"} {
		pushed := publish(t, small(t, byte(i)), ref+":"+strings.ReplaceAll(platform, "/", "-"))
		raw := run(t, "", "crane", "manifest", "--insecure", pushed.Reference)
		p, err := manifest.ParsePlatform(platform)
		try(t, err)
		digests[platform] = pushed.Digest
		index.Manifests = append(index.Manifests, ocispec.Descriptor{
			MediaType: ocispec.MediaTypeImageManifest, Digest: pushed.Digest, Size: int64(len(raw)), Platform: p,
		})
	}
	raw, err := json.Marshal(index)
	try(t, err)
	file := filepath.Join(t.TempDir(), "index.json")
	try(t, os.WriteFile(file, raw, 0o600))
	run(t, "", "oras", "manifest", "push", "--plain-http", "--media-type", index.MediaType, ref+":v1", file)

	w, change := watched(t)
	s := newStore(t, change)
	for platform, d := range digests {
		o := mstore.PullOptions{Platform: platform, As: strings.ReplaceAll(platform, "/", "-")}
		p := pull(t, s, ref+":v1", o)
		if p.Digest != d || p.Source.Digest != digest.FromBytes(raw) {
			t.Errorf("for %s: %s, and came from %s", platform, p.Digest, p.Source.Digest)
		}
		w.take()
		o.Digest = digest.FromBytes(raw)
		if again := pull(t, s, ref+":v1", o); !again.Cached || again.Digest != d || len(w.take()) != 1 {
			t.Errorf("for %s again: %+v", platform, again)
		}
	}
	_, err = s.Pull(t.Context(), ref+":v1", mstore.PullOptions{Platform: "plan9/mips"})
	wantFailure(t, "a platform that is not there", err, mstore.ErrNotFound)
	if !strings.Contains(err.Error(), "linux/arm64") || mstore.Hint(err) == "" {
		t.Errorf("the error does not say what there is: %v", err)
	}
	_, err = s.Pull(t.Context(), ref+":v1", mstore.PullOptions{Platform: "no platform"})
	wantFailure(t, "no platform", err, mstore.ErrUsage)
}

// TestAnotherPlatformOfTheSameIndex pulls one name for two platforms, one after the other.
func TestAnotherPlatformOfTheSameIndex(t *testing.T) {
	f := newFake(t)
	f.model(t, "amd", content(100, 1))
	f.model(t, "arm", content(100, 2))
	var entries []doc
	for _, arch := range []string{"amd", "arm"} {
		s := newStore(t)
		p := pull(t, s, f.Host+"/m:"+arch, once)
		raw, err := s.Blobs().ReadAll(p.Digest, manifest.MaxSize)
		try(t, err)
		entries = append(entries, doc{
			"mediaType": manifestType, "digest": p.Digest, "size": len(raw), "platform": doc{"os": "linux", "architecture": arch + "64"},
		})
	}
	f.manifest("v1", ocispec.MediaTypeImageIndex, doc{"schemaVersion": 2, "mediaType": ocispec.MediaTypeImageIndex, "manifests": entries}.raw(t))
	s := newStore(t)
	for _, e := range append(entries, entries...) {
		platform := "linux/" + e["platform"].(doc)["architecture"].(string)
		if p := pull(t, s, f.Host+"/m:v1", mstore.PullOptions{Platform: platform, Retries: -1}); p.Digest != e["digest"] {
			t.Errorf("for %s: %s, want %s", platform, p.Digest, e["digest"])
		}
		if p := pull(t, s, f.Host+"/m:v1", once); p.Digest != e["digest"] || !p.Cached {
			t.Errorf("for %s again, without saying so: %s, want %s", platform, p.Digest, e["digest"])
		}
		offline := openStore(t, s.Dir(), func(o *mstore.Options) { o.Offline = true })
		pull(t, offline, f.Host+"/m:v1", mstore.PullOptions{Platform: platform})
		_, err := offline.Pull(t.Context(), f.Host+"/m:v1", mstore.PullOptions{Platform: "linux/other"})
		wantFailure(t, "offline, another platform", err, mstore.ErrNetwork)
	}
}
