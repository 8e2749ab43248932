package export_test

import (
	"archive/tar"
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/mstore/mstore/blobstore/storetest"
	"github.com/mstore/mstore/export"
	"github.com/mstore/mstore/manifest"
)

// TestHostileArchives unpacks archives that were made to escape. Nothing of them may appear, and a tree outside must
// stay what it was to the byte and the mode.
func TestHostileArchives(t *testing.T) {
	outside := t.TempDir()
	write(t, filepath.Join(outside, "canary"), "alive")
	write(t, filepath.Join(outside, "d", "canary"), "alive")
	t.Chdir(outside) // hard links were once resolved against the working folder
	abs := filepath.Join(outside, "canary")
	up := strings.Repeat("../", 30)
	for name, entries := range map[string][]entry{
		"dots":                         {file("../canary", "x")},
		"many dots":                    {file(up+strings.TrimPrefix(abs, "/"), "x")},
		"dots inside":                  {file("a/../../canary", "x")},
		"dots that stay":               {file("a/../b", "x")},
		"folder of dots":               {dir("../d/")},
		"only dots":                    {dir("..")},
		"absolute":                     {file(abs, "x")},
		"absolute folder":              {dir(outside + "/new/")},
		"root":                         {dir("/")},
		"backslashes":                  {file(`..\canary`, "x")},
		"drive":                        {file(`C:/canary`, "x")},
		"absolute link, then below":    {symlink("l", outside), file("l/canary", "x")},
		"absolute link":                {symlink("l", abs)},
		"link out":                     {symlink("l", "../../canary")},
		"link out through a folder":    {dir("d/"), symlink("d/l", "../../x")},
		"link in, then below":          {dir("d/"), symlink("l", "d"), file("l/x", "x")},
		"link to a folder as a folder": {dir("d/"), symlink("l", "d"), dir("l/")},
		"chain":                        {symlink("a", "b"), symlink("b", "../c")},
		"chain by way of the top":      {dir("a/"), dir("a/b/"), symlink("a/b/top", "../.."), symlink("l", "a/b/top/../x")},
		"cycle":                        {symlink("a", "b"), symlink("b", "a")},
		"link to itself":               {symlink("a", "a")},
		"dangling link":                {symlink("a", "none")},
		"link to the top":              {symlink("a", "/")},
		"hard link to the cwd":         {hardlink("l", "canary")},
		"hard link out":                {hardlink("l", "../canary")},
		"hard link, absolute":          {hardlink("l", abs)},
		"hard link to a link":          {file("f", "x"), symlink("s", "f"), hardlink("l", "s")},
		"hard link through a link":     {dir("d/"), file("d/f", "x"), symlink("s", "d"), hardlink("l", "s/f")},
		"hard link to a folder":        {dir("d/"), hardlink("l", "d")},
		"hard link, then written":      {hardlink("l", "canary"), file("l", "x")},
		"character device":             {special("null", tar.TypeChar)},
		"block device":                 {special("disk", tar.TypeBlock)},
		"pipe":                         {special("pipe", tar.TypeFifo)},
		"unknown type":                 {special("what", 'Z')},
		"folder turned link":           {dir("d/"), symlink("d", outside), file("d/canary", "x")},
		"folder turned inner link":     {dir("d/"), dir("e/"), symlink("d", "e"), file("d/x", "x")},
		"file turned link":             {file("f", "x"), symlink("f", abs), file("f", "evil")},
		"file as folder":               {file("f", "x"), file("f/below", "x")},
		"folder turned file":           {file("d/x", "x"), file("d", "x")},
		"file turned folder":           {file("d", "x"), dir("d/")},
		"a name that says nothing":     {file("a\u202eb", "x")},
		"device of Windows":            {file("aux.txt", "x")},
		"too long":                     {file(strings.Repeat("x", 300), "x")},
	} {
		t.Run(name, func(t *testing.T) {
			wantRefused(t, manifest.KindModelKit, outside, tarOf(t, append([]entry{file("good", "x")}, entries...)...))
		})
	}
}

func TestHostileLayers(t *testing.T) {
	outside := t.TempDir()
	write(t, filepath.Join(outside, "canary"), "alive")
	lower := tarOf(t, file("d/x", "x"), symlink("l", "d"))
	for name, e := range map[string]entry{
		"whiteout of ..":           file(".wh...", ""),
		"whiteout of .":            file(".wh..", ""),
		"whiteout of nothing":      file(".wh.", ""),
		"whiteout out":             file("../.wh.canary", ""),
		"whiteout through a link":  file("l/.wh.x", ""),
		"opaque through a link":    file("l/.wh..wh..opq", ""),
		"opaque in a file":         file("d/x/.wh..wh..opq", ""),
		"file through lower link":  file("l/y", "y"),
		"absolute link, as layers": symlink("a", outside),
	} {
		t.Run(name, func(t *testing.T) {
			wantRefused(t, manifest.KindImage, outside, lower, tarOf(t, e))
		})
	}
}

// wantRefused: neither an export nor a view makes anything of the archives, and the tree outside stays as it was.
func wantRefused(t *testing.T, kind manifest.Kind, outside string, archives ...[]byte) {
	t.Helper()
	store := storetest.New(t)
	m := archived(t, store, kind, archives...)
	canary := tree(t, outside)
	out := filepath.Join(t.TempDir(), "out")
	if err := export.Files(t.Context(), store, m, out, export.Options{}); !errors.Is(err, export.ErrUnsafe) {
		t.Errorf("Files = %v, want ErrUnsafe", err)
	}
	wantTree(t, filepath.Dir(out), map[string]string{"out": "drwxr-xr-x "})
	if _, err := openViews(t, store).Make(t.Context(), m); !errors.Is(err, export.ErrUnsafe) {
		t.Errorf("Make = %v, want ErrUnsafe", err)
	}
	wantTree(t, store.Dir("views"), map[string]string{})
	wantTree(t, outside, canary)
}

func TestDamagedArchives(t *testing.T) {
	good := tarOf(t, file("a", strings.Repeat("x", 10_000)))
	outside := t.TempDir()
	for name, raw := range map[string][]byte{
		"cut in a file":   good[:5000],
		"cut in a header": good[:100],
		"garbage":         []byte(strings.Repeat("garbage", 1000)),
		"a bit turned":    append(append(append([]byte{}, good[:10]...), good[10]^1), good[11:]...),
	} {
		t.Run(name, func(t *testing.T) { wantRefused(t, manifest.KindModelKit, outside, raw) })
	}
	for archive, raw := range map[manifest.Archive][]byte{
		manifest.TarGzip: gzipped(t, good), manifest.TarZstd: zstded(t, good),
	} {
		for cut, raw := range map[string][]byte{"no " + string(archive): good, "cut": raw[:len(raw)/2], "empty": nil} {
			store := storetest.New(t)
			m := &manifest.Manifest{Files: []manifest.File{{Archive: archive, Descriptor: put(t, store, raw)}}}
			out := t.TempDir()
			err := export.Files(t.Context(), store, m, out, export.Options{})
			if !errors.Is(err, export.ErrUnsafe) && (cut != "empty" || archive != manifest.TarZstd) {
				t.Errorf("%s, %s: Files = %v, want ErrUnsafe", archive, cut, err)
			}
			wantTree(t, out, map[string]string{})
		}
	}
}

// FuzzUnpack unpacks anything: it may fail, and must touch nothing outside.
func FuzzUnpack(f *testing.F) {
	f.Add(tarOf(f, file("a", "x"), symlink("l", "a"), hardlink("h", "a"), dir("d/"), file(".wh.a", "")), true)
	f.Add(tarOf(f, symlink("l", "../x"), file("l/y", "z")), false)
	f.Fuzz(func(t *testing.T, raw []byte, image bool) {
		top := t.TempDir()
		write(t, filepath.Join(top, "canary"), "alive")
		out := filepath.Join(top, "out")
		if err := os.Mkdir(out, 0o700); err != nil {
			t.Fatal(err)
		}
		before := tree(t, top)
		_ = export.Unpack(t.Context(), out, bytes.NewReader(raw), image)
		after := tree(t, top)
		for path := range after {
			if strings.HasPrefix(path, "out/") {
				delete(after, path)
			}
		}
		if len(before) != len(after) || before["canary"] != after["canary"] {
			t.Errorf("outside: %v, then %v", before, after)
		}
	})
}
