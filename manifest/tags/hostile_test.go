package tags_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/mstore/mstore/internal/flock"
	"github.com/mstore/mstore/manifest/tags"
)

func lockFile(t *testing.T, path string) (unlock func()) {
	t.Helper()
	release, err := flock.Lock(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	return func() {
		if err := release(); err != nil {
			t.Error(err)
		}
	}
}

func TestUnreadableTags(t *testing.T) {
	const good = `{"name":"NAME","descriptor":{"mediaType":"x","digest":"sha256:x","size":1}}`
	const link, folder = "link to ", "folder"
	for name, what := range map[string]string{
		"empty":        "",
		"garbage":      "\x00\xff",
		"cut":          good[:20],
		"other":        strings.Replace(good, "NAME", "else", 1),
		"no-digest":    `{"name":"no-digest"}`,
		"huge":         strings.Repeat(" ", 1<<17),
		"folder":       folder,
		"link-to-tag":  link + "good",
		"link-nowhere": link + "nowhere",
		"link-out":     link + "/etc/passwd",
		"Foreign Name": good,
		"a%2Fb":        good,
	} {
		t.Run(name, func(t *testing.T) {
			ts, root := open(t)
			set(t, ts, tag("good", "1"), tag("good2", "1"))
			path := filepath.Join(root, "tags", name)
			if to, ok := strings.CutPrefix(what, link); ok {
				symlink(t, to, path)
			} else if what == folder {
				mkdir(t, path)
			} else {
				write(t, path, what)
			}
			list, err := ts.List()
			if len(list) != 2 || !errors.Is(err, tags.ErrUnreadable) || !strings.Contains(err.Error(), path) {
				t.Errorf("List = %v, %v", list, err)
			}
			if err := ts.RebuildIndex(t.Context()); err != nil {
				t.Errorf("RebuildIndex = %v", err)
			}
			if err := ts.CheckIndex(); err != nil {
				t.Errorf("the index of the readable: %v", err)
			}
			if tags.CheckName(name) == nil && filepath.Base(tagFile(t, root, name)) == name {
				checkUnreadable(t, ts, name)
			}
		})
	}
}

func mkdir(t *testing.T, path string) {
	t.Helper()
	if err := os.Mkdir(path, 0o755); err != nil {
		t.Fatal(err)
	}
}

// checkUnreadable asks for one unreadable tag in every way, and lastly deletes it.
func checkUnreadable(t *testing.T, ts *tags.Tags, name string) {
	t.Helper()
	if _, err := ts.Get(name); !errors.Is(err, tags.ErrUnreadable) {
		t.Errorf("Get = %v", err)
	}
	if err := ts.Delete(t.Context(), name, "sha256:x"); !errors.Is(err, tags.ErrUnreadable) {
		t.Errorf("Delete of one digest = %v", err)
	}
	if _, err := ts.Drop(t.Context(), tags.Tag{Name: name}); !errors.Is(err, tags.ErrUnreadable) {
		t.Errorf("Drop = %v", err)
	}
	if err := ts.Delete(t.Context(), name, ""); err != nil {
		t.Errorf("Delete = %v", err)
	}
	if list, err := ts.List(); err != nil || len(list) != 2 {
		t.Errorf("after Delete: %v, %v", list, err)
	}
}

func TestDebrisIsPassedOver(t *testing.T) {
	ts, root := open(t)
	set(t, ts, tag("a", "1"))
	for _, name := range []string{".DS_Store", ".tmp-123", ".nfs0001"} {
		write(t, filepath.Join(root, "tags", name), "x")
		write(t, filepath.Join(root, "pins", name), "x")
	}
	write(t, filepath.Join(root, "pins", "gone"), "")
	if list, err := ts.List(); err != nil || len(list) != 1 || list[0].Pinned {
		t.Errorf("%v, %v", list, err)
	}
}

func TestTouchDoesNotFollowASymlink(t *testing.T) {
	ts, root := open(t)
	target := filepath.Join(t.TempDir(), "target")
	write(t, target, "x")
	before, err := os.Stat(target)
	if err != nil {
		t.Fatal(err)
	}
	symlink(t, target, filepath.Join(root, "tags", "a"))
	_ = ts.Touch("a") // on the link itself, or an error
	if after, err := os.Stat(target); err != nil || !after.ModTime().Equal(before.ModTime()) {
		t.Errorf("the target was touched: %v", err)
	}
}

func TestSetReplacesWhatIsInTheWay(t *testing.T) {
	ts, root := open(t)
	target := filepath.Join(t.TempDir(), "target")
	write(t, target, "x")
	symlink(t, target, filepath.Join(root, "tags", "a"))
	set(t, ts, tag("a", "1"))
	if content, err := os.ReadFile(target); err != nil || string(content) != "x" {
		t.Errorf("the target of a planted link holds %q, %v", content, err)
	}
	if _, err := ts.Get("a"); err != nil {
		t.Error(err)
	}
}

func TestListWithoutTheFolder(t *testing.T) {
	ts, root := open(t)
	remove(t, filepath.Join(root, "tags"))
	if list, err := ts.List(); err == nil || errors.Is(err, tags.ErrUnreadable) {
		t.Errorf("%v, %v; no folder is no empty store", list, err)
	}
	if err := ts.RebuildIndex(t.Context()); err == nil {
		t.Error("an index was made of nothing")
	}
}
