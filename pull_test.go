package mstore_test

import (
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/opencontainers/go-digest"

	"github.com/mstore/mstore"
)

func TestPullAgainCostsOneRequest(t *testing.T) {
	ref := repo(t) + ":v1"
	first := publish(t, small(t, 1), ref)
	w, change := watched(t)
	s := newStore(t, change)
	pull(t, s, ref, mstore.PullOptions{})
	w.take()
	again := pull(t, s, ref, mstore.PullOptions{})
	if !again.Cached || again.BytesFetched != 0 || again.BytesReused != again.Size || again.Digest != first.Digest {
		t.Errorf("Pull again = %+v", again)
	}
	if got := w.take(); len(got) != 1 || !strings.HasPrefix(got[0], "HEAD ") {
		t.Errorf("Pull again asked %q", got)
	}
}

func TestPullByDigestOfWhatIsThereCostsNoRequest(t *testing.T) {
	ref := repo(t)
	d := publish(t, small(t, 1), ref+":v1").Digest.String()
	w, change := watched(t)
	s := newStore(t, change)
	for name, by := range map[string]string{"digest": ref + "@" + d, "tag and digest": ref + ":v1@" + d} {
		t.Run(name, func(t *testing.T) {
			first := pull(t, s, by, mstore.PullOptions{})
			w.take()
			again := pull(t, s, by, mstore.PullOptions{})
			if got := w.take(); len(got) != 0 || !again.Cached || again.Name != first.Name || again.Digest.String() != d {
				t.Errorf("asked %q for %+v", got, again)
			}
		})
	}
	want := map[string]digest.Digest{ref + "@" + d: digest.Digest(d), ref + ":v1": digest.Digest(d)}
	if diff := cmp.Diff(want, look(t, s).Tags); diff != "" {
		t.Errorf("tags (-want +got):\n%s", diff)
	}
}

func TestPullAs(t *testing.T) {
	ref := repo(t) + ":v1"
	publish(t, small(t, 1), ref)
	w, change := watched(t)
	s := newStore(t, change)
	p := pull(t, s, ref, mstore.PullOptions{As: "Mine"})
	if p.Name != "Mine:latest" || p.Reference != "oci://"+ref {
		t.Errorf("Pull = %+v", p)
	}
	w.take()
	again := pull(t, s, "Mine", mstore.PullOptions{}) // asks where it came from
	if got := w.take(); len(got) != 1 || !again.Cached || again.Name != "Mine:latest" {
		t.Errorf("Pull of the name asked %q for %+v", got, again)
	}
	second := pull(t, s, ref, mstore.PullOptions{}) // the same blobs under its own name
	if second.BytesFetched != 0 || second.Name != ref {
		t.Errorf("Pull under another name = %+v", second)
	}
}

func TestATagThatMovesAtTheRegistry(t *testing.T) {
	ref := repo(t) + ":v1"
	old := publish(t, small(t, 1), ref)
	s := newStore(t)
	pull(t, s, ref, mstore.PullOptions{As: "m"})
	moved := publish(t, small(t, 2), ref)
	p := pull(t, s, "m", mstore.PullOptions{})
	if p.Digest != moved.Digest || p.Digest == old.Digest || p.Cached {
		t.Errorf("Pull = %+v", p)
	}
	if p.BytesReused == 0 || p.BytesFetched >= p.Size { // only one file is another
		t.Errorf("fetched %d and reused %d of %d", p.BytesFetched, p.BytesReused, p.Size)
	}
	shown, err := s.Show(t.Context(), "m")
	try(t, err)
	if shown.Digest != moved.Digest {
		t.Errorf("the tag is %s, want %s", shown.Digest, moved.Digest)
	}
	wantExport(t, s, "m", small(t, 2))
}

func TestAPin(t *testing.T) {
	ref := repo(t) + ":v1"
	d := publish(t, small(t, 1), ref).Digest
	s, other := newStore(t), digest.FromString("another")
	for _, step := range []struct {
		name string
		pin  digest.Digest
		want mstore.Class
	}{
		{"wrong", other, mstore.ErrVerification},
		{"no digest", "sha256:x", mstore.ErrUsage},
		{"right", d, ""},
		{"wrong, unchanged", other, mstore.ErrVerification},
		{"right, unchanged", d, ""},
	} {
		before := look(t, s)
		p, err := s.Pull(t.Context(), ref, mstore.PullOptions{Digest: step.pin})
		switch {
		case step.want != "":
			wantFailure(t, step.name, err, step.want)
			if diff := cmp.Diff(before, look(t, s)); diff != "" {
				t.Errorf("%s: the store changed:\n%s", step.name, diff)
			}
		case err != nil || p.Digest != d:
			t.Errorf("%s: Pull = %+v, %v", step.name, p, err)
		}
	}
}

func TestALostBlobIsFetchedAlthoughTheTagIsUnchanged(t *testing.T) {
	ref := repo(t) + ":v1"
	publish(t, small(t, 1), ref)
	s := newStore(t)
	first := pull(t, s, ref, mstore.PullOptions{})
	config := fileOf(t, first.Model, "config.json")
	for name, d := range map[string]digest.Digest{"file": config.Digest, "manifest": first.Digest} {
		t.Run(name, func(t *testing.T) {
			lose(t, s, d)
			p := pull(t, s, ref, mstore.PullOptions{})
			if p.Cached || p.BytesFetched == 0 || p.BytesFetched > 10_000 || p.Digest != first.Digest {
				t.Errorf("Pull = %+v", p)
			}
			wantExport(t, s, ref, small(t, 1))
		})
	}
}

func TestPullOfAFileAndAFolder(t *testing.T) {
	s, dir := newStore(t), small(t, 1)
	p := pull(t, s, "file:"+dir, mstore.PullOptions{As: "folder"})
	if p.Count != 6 || p.Reference != "file:"+dir {
		t.Errorf("Pull = %+v", p)
	}
	wantExport(t, s, "folder", dir)
	one := pull(t, s, "file:"+dir+"/model.safetensors", mstore.PullOptions{})
	if one.Name != "model.safetensors:latest" || one.Count != 1 {
		t.Errorf("Pull = %+v", one)
	}
	try(t, os.WriteFile(dir+"/config.json", []byte("{}"), 0o600))
	newer := pull(t, s, "file:"+dir, mstore.PullOptions{As: "folder"})
	if newer.Digest == p.Digest || newer.Cached {
		t.Errorf("Pull of a folder that changed = %+v", newer)
	}
}

func TestPullFromALayoutThatIsAnotherStore(t *testing.T) {
	other, s := newStore(t), newStore(t)
	first := load(t, other, small(t, 1), "m:v1")
	ref := "oci-layout:" + other.Dir() + ":m:v1"
	p := pull(t, s, ref, mstore.PullOptions{})
	if p.Digest != first.Digest || p.Name != "m:v1" || p.Cached {
		t.Errorf("Pull = %+v", p)
	}
	wantExport(t, s, "m:v1", small(t, 1))
	again := pull(t, s, "m:v1", mstore.PullOptions{})
	if !again.Cached || again.Reference != ref {
		t.Errorf("Pull again = %+v", again)
	}
}

func TestOffline(t *testing.T) {
	ref := repo(t) + ":v1"
	d := publish(t, small(t, 1), ref).Digest
	online := newStore(t)
	first := pull(t, online, ref, mstore.PullOptions{})
	w, change := watched(t)
	s := openStore(t, online.Dir(), change, func(o *mstore.Options) { o.Offline = true })
	for _, typed := range []string{ref, ref + "@" + d.String(), "oci://" + ref} {
		if p := pull(t, s, typed, mstore.PullOptions{Digest: d}); !p.Cached || p.Digest != d {
			t.Errorf("Pull of %s = %+v", typed, p)
		}
	}
	_, err := s.Pull(t.Context(), ref+"2", mstore.PullOptions{})
	wantFailure(t, "what is not there", err, mstore.ErrNetwork)
	_, err = s.Pull(t.Context(), ref, mstore.PullOptions{Digest: digest.FromString("another")})
	wantFailure(t, "another digest", err, mstore.ErrNetwork)
	_, err = s.Push(t.Context(), ref, ref, mstore.PushOptions{})
	wantFailure(t, "push", err, mstore.ErrNetwork)
	lose(t, s, fileOf(t, first.Model, "config.json").Digest)
	_, err = s.Pull(t.Context(), ref, mstore.PullOptions{})
	wantFailure(t, "a blob is lost", err, mstore.ErrNetwork)
	if asked := w.take(); len(asked) != 0 {
		t.Errorf("offline, and asked %q", asked)
	}
	pull(t, online, ref, mstore.PullOptions{})
	if local := pull(t, s, "file:"+small(t, 1), mstore.PullOptions{As: "local"}); local.Digest != d {
		t.Errorf("offline, a folder is %s, want %s", local.Digest, d)
	}
}
