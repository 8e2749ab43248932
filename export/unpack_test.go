package export_test

import (
	"archive/tar"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/mstore/mstore/blobstore/storetest"
	"github.com/mstore/mstore/export"
	"github.com/mstore/mstore/manifest"
)

func TestArchives(t *testing.T) {
	long := strings.Repeat("long/", 60) + "name"
	raw := tarOf(t,
		dir("./"), entry{name: "pax_global_header", kind: tar.TypeXGlobalHeader, pax: map[string]string{"comment": "git"}},
		file("./a.txt", "first"), file("sub/run.sh", "#!"), dir("sub/"), dir("void/"),
		file(long, "far"), file("größe", "unicode"), symlink("sub/link", "../a.txt"), symlink("sublink", "sub"),
		hardlink("sub/same", "./sub/run.sh"), file("a.txt", "second"), file("empty", ""),
		entry{name: "setuid", mode: 0o6777, body: "x"}, entry{name: "locked", mode: 0, body: "y"},
	)
	want := map[string]string{
		"a.txt": "second", "sub/run.sh": "#!", long: "far", "größe": "unicode", "sub/link": "second", "sub/same": "#!",
		"empty": "", "setuid": "x", "locked": "y",
	}
	for archive, packed := range map[manifest.Archive][]byte{
		manifest.Tar: raw, manifest.TarGzip: gzipped(t, raw), manifest.TarZstd: zstded(t, raw),
	} {
		for _, prefix := range []string{"", "below/here"} {
			t.Run(string(archive)+" in "+prefix, func(t *testing.T) {
				store := storetest.New(t)
				m := model(t, store, map[string]string{"beside.bin": "w"})
				m.Files = append(m.Files, manifest.File{Path: prefix, Archive: archive, Descriptor: put(t, store, packed)})
				out := t.TempDir()
				for range 2 {
					var done int64
					err := export.Files(t.Context(), store, m, out, export.Options{Mode: export.Copy, Progress: func(n int64) { done += n }})
					if err != nil {
						t.Fatal(err)
					}
					if done < int64(len(packed)) {
						t.Errorf("progress came to %d of %d", done, len(packed))
					}
				}
				views := openViews(t, store)
				for _, dir := range []string{out, makeView(t, views, m)} {
					wantUnpacked(t, filepath.Join(dir, prefix), want)
				}
				wantNoStage(t, out)
			})
		}
	}
}

func wantUnpacked(t *testing.T, dir string, want map[string]string) {
	t.Helper()
	for path, content := range want {
		if got, err := os.ReadFile(filepath.Join(dir, path)); err != nil || string(got) != content {
			t.Errorf("%s holds %q, %v; want %q", path, got, err, content)
		}
	}
	for path, mode := range map[string]fs.FileMode{
		"a.txt": 0o644, "setuid": 0o755, "locked": 0o644, "void": fs.ModeDir | 0o755, "sublink": fs.ModeSymlink | 0o777,
	} {
		if got := lstat(t, filepath.Join(dir, path)).Mode(); got != mode {
			t.Errorf("%s has mode %v, want %v", path, got, mode)
		}
	}
	if _, err := os.Lstat(filepath.Join(dir, "pax_global_header")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a global header became a file: %v", err)
	}
}

func TestUnpackInTheWay(t *testing.T) {
	raw := tarOf(t, file("sub/a", "A"), symlink("link", "sub/a"), file("z", "Z"))
	for name, plant := range map[string]func(dir string) error{
		"another content":  func(dir string) error { return os.WriteFile(dir+"/z", []byte("!"), 0o600) },
		"a folder":         func(dir string) error { return os.Mkdir(dir+"/z", 0o700) },
		"a file":           func(dir string) error { return os.WriteFile(dir+"/sub", nil, 0o600) },
		"a linked folder":  func(dir string) error { return os.Symlink(t.TempDir(), dir+"/sub") },
		"another link":     func(dir string) error { return os.Symlink("z", dir+"/link") },
		"a file by a link": func(dir string) error { return os.WriteFile(dir+"/link", []byte("A"), 0o600) },
	} {
		t.Run(name, func(t *testing.T) {
			store := storetest.New(t)
			m := archived(t, store, manifest.KindModelKit, raw)
			out := t.TempDir()
			if err := plant(out); err != nil {
				t.Fatal(err)
			}
			before := tree(t, out)
			if err := export.Files(t.Context(), store, m, out, export.Options{}); !errors.Is(err, export.ErrExists) {
				t.Errorf("Files = %v, want ErrExists", err)
			}
			wantTree(t, out, before)
		})
	}
}

func TestAnArchiveDoesNotTakeAFilesPlace(t *testing.T) {
	for name, e := range map[string]entry{
		"file":   file("weights/w.bin", "evil"),
		"folder": dir("weights/w.bin/"),
		"parent": file("weights", "evil"),
		"link":   symlink("weights", "."),
	} {
		t.Run(name, func(t *testing.T) {
			store := storetest.New(t)
			m := model(t, store, map[string]string{"weights/w.bin": "good"})
			m.Files = append(m.Files, manifest.File{Archive: manifest.Tar, Descriptor: put(t, store, tarOf(t, e))})
			out := t.TempDir()
			if err := export.Files(t.Context(), store, m, out, export.Options{}); !errors.Is(err, export.ErrUnsafe) {
				t.Errorf("Files = %v, want ErrUnsafe", err)
			}
			wantTree(t, out, map[string]string{})
			if _, err := openViews(t, store).Make(t.Context(), m); !errors.Is(err, export.ErrUnsafe) {
				t.Errorf("Make = %v, want ErrUnsafe", err)
			}
		})
	}
}

func TestViewOfArchives(t *testing.T) {
	store := storetest.New(t)
	m := archived(t, store, manifest.KindModelKit, tarOf(t, file("sub/a", "A"), symlink("link", "sub/a"), file("z", "Z")))
	m.Files = append(m.Files, model(t, store, map[string]string{"w.bin": "w"}).Files...)
	views := openViews(t, store)
	view := makeView(t, views, m)
	first := lstat(t, view)
	makeView(t, views, m)
	if !os.SameFile(first, lstat(t, view)) {
		t.Error("a view that was whole was made anew")
	}
	blob := blobFile(t, store, m.Files[0].Descriptor.Digest)
	for name, damage := range map[string]func() error{
		"a file is gone":     func() error { return os.Remove(filepath.Join(view, "sub", "a")) },
		"a file was written": func() error { return os.WriteFile(filepath.Join(view, "z"), []byte("evil"), 0o600) },
		"a link was turned":  func() error { return errors.Join(os.Remove(view+"/link"), os.Symlink("z", view+"/link")) },
		"the record is gone": func() error { return os.Remove(filepath.Join(view, ".mstore-view.json")) },
		"the record is evil": func() error {
			return os.WriteFile(view+"/.mstore-view.json", []byte(`{"entries":[{"path":"../../x"}]}`), 0o600)
		},
		"the record is a dir": func() error {
			return errors.Join(os.Remove(view+"/.mstore-view.json"), os.Mkdir(view+"/.mstore-view.json", 0o700))
		},
		"the blob was repaired": func() error {
			old := lstat(t, blob).ModTime().Add(-1)
			return os.Chtimes(blob, old, old)
		},
	} {
		t.Run(name, func(t *testing.T) {
			if err := damage(); err != nil {
				t.Fatal(err)
			}
			makeView(t, views, m)
			for path, want := range map[string]string{"sub/a": "A", "link": "A", "z": "Z", "w.bin": "w"} {
				if got, err := os.ReadFile(filepath.Join(view, path)); err != nil || string(got) != want {
					t.Errorf("%s holds %q, %v", path, got, err)
				}
			}
			wantNoStage(t, filepath.Dir(view))
		})
	}
}

func TestLayersOfAnImage(t *testing.T) {
	store := storetest.New(t)
	m := archived(t, store, manifest.KindImage,
		tarOf(t, file("keep", "1"), file("gone", "1"), file("dir/a", "1"), file("dir/sub/b", "1"), file("opaque/old", "1"),
			file("turns/into/file", "1"), file("becomes", "1"), file("replaced", "1"), dir("emptied/"), file("emptied/x", "1")),
		tarOf(t, file(".wh.gone", ""), file("dir/.wh.sub", ""), file("opaque/new", "2"), file("opaque/.wh..wh..opq", ""),
			file("turns", "2"), dir("becomes/"), file("becomes/folder", "2"), file("replaced", "2"),
			file("emptied/.wh.x", ""), file(".wh..wh.aufs", ""), file(".wh.never", ""), file("nowhere/.wh.x", "")),
		tarOf(t, file("gone", "3"), file(".wh.gone", ""), file(".wh.dir", ""), file("dir/mine", "3")),
	)
	want := map[string]string{
		"keep": "1", "gone": "3", "dir/mine": "3", "opaque/new": "2", "turns": "2", "becomes/folder": "2", "replaced": "2",
	}
	out := t.TempDir()
	if err := export.Files(t.Context(), store, m, out, export.Options{}); err != nil {
		t.Fatal(err)
	}
	wantFiles(t, out, want)
	if info := lstat(t, filepath.Join(out, "emptied")); !info.IsDir() {
		t.Error("an emptied folder is gone")
	}
}

func TestWhiteoutsAreFilesElsewhere(t *testing.T) {
	store := storetest.New(t)
	m := archived(t, store, manifest.KindModelKit, tarOf(t, file("x", "1")), tarOf(t, file(".wh.x", "2")))
	out := t.TempDir()
	if err := export.Files(t.Context(), store, m, out, export.Options{}); err != nil {
		t.Fatal(err)
	}
	wantFiles(t, out, map[string]string{"x": "1", ".wh.x": "2"})
}
