package tags_test

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/opencontainers/go-digest"

	"github.com/mstore/mstore/manifest/tags"
)

func TestSetGet(t *testing.T) {
	ts, root := open(t)
	want := tag("ghcr.io/Org/model:v1", "a")
	want.Created = time.Date(2026, 1, 2, 3, 4, 5, 6, time.UTC)
	want.Source.PlainHTTP, want.Source.Validator = true, `W/"x"`
	before := time.Now().Add(-time.Minute)
	set(t, ts, want)
	for _, again := range []*tags.Tags{ts, reopen(t, root)} {
		got, err := again.Get(want.Name)
		if err != nil {
			t.Fatal(err)
		}
		if got.LastUsed.Before(before) || got.Pinned {
			t.Errorf("last used %v, pinned %v", got.LastUsed, got.Pinned)
		}
		if diff := cmp.Diff(want, got, cmpopts.IgnoreFields(tags.Tag{}, "LastUsed")); diff != "" {
			t.Error(diff)
		}
	}
	moved := tag(want.Name, "b")
	set(t, ts, moved)
	if got, err := ts.Get(want.Name); err != nil || got.Descriptor.Digest != moved.Descriptor.Digest || got.Created.IsZero() {
		t.Errorf("after it moved: %+v, %v", got, err)
	}
}

func TestGetErrors(t *testing.T) {
	ts, _ := open(t)
	_, err := ts.Get("none")
	if !errors.Is(err, tags.ErrNotFound) || !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("Get(none) = %v", err)
	}
	for _, name := range []string{"", "-x", "a\nb", strings.Repeat("a", 241)} {
		if _, err := ts.Get(name); !errors.Is(err, tags.ErrName) {
			t.Errorf("Get(%q) = %v", name, err)
		}
	}
}

func TestSetChecksAllFirst(t *testing.T) {
	ts, _ := open(t)
	noDigest := tags.Tag{Name: "c"}
	for _, bad := range []tags.Tag{{Name: ""}, noDigest, tag(strings.Repeat("A", 121), "x")} {
		if err := ts.Set(t.Context(), tag("a", "a"), bad); err == nil {
			t.Errorf("Set took %+v", bad)
		}
	}
	if list, err := ts.List(); err != nil || len(list) != 0 {
		t.Errorf("%v, %v; nothing should be set", list, err)
	}
	huge := tag("huge", "x")
	huge.Source.Reference = strings.Repeat("x", 1<<16)
	if err := ts.Set(t.Context(), huge); err == nil {
		t.Error("a tag that could not be read again was written")
	}
}

func TestSetOfOneNameTwice(t *testing.T) {
	ts, _ := open(t)
	set(t, ts, tag("a", "1"), tag("a", "2"))
	if got, err := ts.Get("a"); err != nil || got.Descriptor.Digest != digest.FromString("2") {
		t.Errorf("%v, %v; the last counts", got, err)
	}
	if err := ts.CheckIndex(); err != nil {
		t.Error(err)
	}
}

func TestSetKeepsThePin(t *testing.T) {
	ts, _ := open(t)
	set(t, ts, tag("a", "1"))
	if err := ts.Pin("a"); err != nil {
		t.Fatal(err)
	}
	set(t, ts, tag("a", "2"))
	if got, err := ts.Get("a"); err != nil || !got.Pinned {
		t.Errorf("%v, %v", got, err)
	}
}

func TestListIsSortedByName(t *testing.T) {
	ts, _ := open(t)
	names := []string{"B", "Z:1", "a", "a/b", "a:b", "ab", "b", "ä", "模型"}
	for _, name := range slices.Backward(names) {
		set(t, ts, tag(name, "x"))
	}
	if err := ts.Pin("a/b"); err != nil {
		t.Fatal(err)
	}
	list, err := ts.List()
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, tag := range list {
		got = append(got, tag.Name)
		if tag.Pinned != (tag.Name == "a/b") || tag.LastUsed.IsZero() {
			t.Errorf("%+v", tag)
		}
	}
	if diff := cmp.Diff(names, got); diff != "" {
		t.Error(diff)
	}
}

func TestDelete(t *testing.T) {
	ts, root := open(t)
	set(t, ts, tag("a", "1"), tag("b", "2"))
	if err := ts.Pin("a"); err != nil {
		t.Fatal(err)
	}
	steps := []struct {
		name string
		want digest.Digest
		err  error
	}{
		{"a", digest.FromString("2"), tags.ErrMoved},
		{"none", "", tags.ErrNotFound},
		{"none", digest.FromString("2"), tags.ErrNotFound},
		{"", "", tags.ErrName},
		{"a", digest.FromString("1"), nil},
		{"a", digest.FromString("1"), tags.ErrNotFound},
		{"b", "", nil},
	}
	for _, s := range steps {
		if err := ts.Delete(t.Context(), s.name, s.want); !errors.Is(err, s.err) {
			t.Errorf("Delete(%q, %s) = %v, want %v", s.name, s.want, err, s.err)
		}
		if err := ts.CheckIndex(); err != nil {
			t.Error(err)
		}
	}
	wantFiles(t, filepath.Join(root, "tags"))
	wantFiles(t, filepath.Join(root, "pins"))
	wantFiles(t, filepath.Join(root, "locks"), "index", "tag-a", "tag-b", "tag-none")
	set(t, ts, tag("a", "3"))
	if got, err := ts.Get("a"); err != nil || got.Pinned {
		t.Errorf("%+v, %v; the pin of the old tag pins the new", got, err)
	}
}

func TestDrop(t *testing.T) {
	ts, _ := open(t)
	was := []tags.Tag{tag("go", "1"), tag("moved", "1"), tag("pinned", "1"), tag("gone", "1"), tag("go too", "1")}
	set(t, ts, was...)
	set(t, ts, tag("moved", "2"), tag("stays", "1"))
	if err := errors.Join(ts.Pin("pinned"), ts.Delete(t.Context(), "gone", "")); err != nil {
		t.Fatal(err)
	}
	dropped, err := ts.Drop(t.Context(), was...)
	if err != nil || len(dropped) != 2 || dropped[0].Name != "go" || dropped[1].Name != "go too" {
		t.Errorf("Drop = %v, %v", dropped, err)
	}
	list, err := ts.List()
	if err != nil || len(list) != 3 {
		t.Errorf("%v, %v", list, err)
	}
	if err := ts.CheckIndex(); err != nil {
		t.Error(err)
	}
	if dropped, err := ts.Drop(t.Context(), was...); err != nil || len(dropped) != 0 {
		t.Errorf("again: %v, %v", dropped, err)
	}
	if _, err := ts.Drop(t.Context(), tags.Tag{Name: "a\x00"}); !errors.Is(err, tags.ErrName) {
		t.Error(err)
	}
}

func TestTouch(t *testing.T) {
	root := t.TempDir()
	now := time.Date(2030, 1, 2, 3, 4, 5, 0, time.UTC)
	ts, err := tags.Open(root, tags.Options{Now: func() time.Time { return now }})
	if err != nil {
		t.Fatal(err)
	}
	set(t, ts, tag("a", "1"))
	before, err := os.ReadFile(tagFile(t, root, "a"))
	if err != nil {
		t.Fatal(err)
	}
	if err := ts.Touch("a"); err != nil {
		t.Fatal(err)
	}
	got, err := ts.Get("a")
	if err != nil || !got.LastUsed.Equal(now) || !got.Created.Equal(now) {
		t.Errorf("used %v, created %v, %v; want %v", got.LastUsed, got.Created, err, now)
	}
	if after, err := os.ReadFile(tagFile(t, root, "a")); err != nil || string(after) != string(before) {
		t.Errorf("Touch wrote %q, %v", after, err)
	}
	start := time.Now().Add(-time.Minute)
	if err := reopen(t, root).Touch("a"); err != nil {
		t.Fatal(err)
	}
	if got, err := ts.Get("a"); err != nil || got.LastUsed.Before(start) || got.LastUsed.After(time.Now().Add(time.Minute)) {
		t.Errorf("used %v, %v; want now", got.LastUsed, err)
	}
	for name, want := range map[string]error{"none": tags.ErrNotFound, "": tags.ErrName} {
		if err := ts.Touch(name); !errors.Is(err, want) {
			t.Errorf("Touch(%q) = %v, want %v", name, err, want)
		}
	}
}

func TestPin(t *testing.T) {
	ts, root := open(t)
	set(t, ts, tag("a/B", "1"))
	for _, pinned := range []bool{false, true, true, false, false} {
		change := ts.Unpin
		if pinned {
			change = ts.Pin
		}
		if err := change("a/B"); err != nil {
			t.Fatal(err)
		}
		if got, err := reopen(t, root).Get("a/B"); err != nil || got.Pinned != pinned {
			t.Errorf("%+v, %v; want pinned %v", got, err, pinned)
		}
	}
	for name, want := range map[string]error{"none": tags.ErrNotFound, "": tags.ErrName} {
		if err := ts.Pin(name); !errors.Is(err, want) {
			t.Errorf("Pin(%q) = %v, want %v", name, err, want)
		}
		if err := ts.Unpin(name); !errors.Is(err, want) {
			t.Errorf("Unpin(%q) = %v, want %v", name, err, want)
		}
	}
	wantFiles(t, filepath.Join(root, "pins"))
}

func TestWaitEndsWithTheContext(t *testing.T) {
	ts, root := open(t)
	set(t, ts, tag("a", "1"))
	unlock := lockFile(t, filepath.Join(root, "locks", "tag-a"))
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := ts.Set(ctx, tag("a", "2")); !errors.Is(err, context.Canceled) {
		t.Errorf("Set = %v", err)
	}
	if err := ts.Delete(ctx, "a", ""); !errors.Is(err, context.Canceled) {
		t.Errorf("Delete = %v", err)
	}
	if got, err := ts.Get("a"); err != nil || got.Descriptor.Digest != digest.FromString("1") {
		t.Errorf("%v, %v; a reader waits for nobody", got, err)
	}
	unlock()
	set(t, ts, tag("a", "2"))
}

func TestModes(t *testing.T) {
	for shared, want := range map[bool][2]fs.FileMode{false: {0o755, 0o644}, true: {0o775, 0o664}} {
		root := t.TempDir()
		ts, err := tags.Open(root, tags.Options{Shared: shared})
		if err != nil {
			t.Fatal(err)
		}
		set(t, ts, tag("a", "1"))
		if err := ts.Pin("a"); err != nil {
			t.Fatal(err)
		}
		for path, want := range map[string]fs.FileMode{
			"tags": want[0], "pins": want[0], "locks": want[0], "tags/a": want[1], "pins/a": want[1], "index.json": want[1],
		} {
			info, err := os.Stat(filepath.Join(root, path))
			if err != nil || info.Mode().Perm() != want {
				t.Errorf("shared %v: %s has mode %v, %v; want %v", shared, path, info.Mode(), err, want)
			}
		}
	}
}

func wantFiles(t *testing.T, dir string, want ...string) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, e := range entries {
		got = append(got, e.Name())
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("%s: %s", dir, diff)
	}
}
