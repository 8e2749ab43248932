//go:build unix

package blobstore_test

import (
	"errors"
	"net"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"
	"golang.org/x/sys/unix"

	"github.com/mstore/mstore/blobstore"
)

// plants are what may lie under a blob's name and is no blob. outside is a file that must stay as it is.
var plants = map[string]func(path, outside string) error{
	"link to a file":    func(path, outside string) error { return os.Symlink(outside, path) },
	"link to a folder":  func(path, outside string) error { return os.Symlink(filepath.Dir(outside), path) },
	"link to nothing":   func(path, _ string) error { return os.Symlink("nothing", path) },
	"link to itself":    func(path, _ string) error { return os.Symlink(filepath.Base(path), path) },
	"link to a device":  func(path, _ string) error { return os.Symlink("/dev/zero", path) },
	"pipe":              func(path, _ string) error { return unix.Mkfifo(path, 0o444) },
	"folder":            func(path, _ string) error { return os.Mkdir(path, 0o755) },
	"folder with files": func(path, _ string) error { return os.MkdirAll(filepath.Join(path, "a", "b"), 0o755) },
	"socket": func(path, _ string) error {
		// A socket's path may have 108 bytes: it is bound in a short folder and moved.
		dir, err := os.MkdirTemp("", "s")
		if err != nil {
			return err
		}
		defer func() { _ = os.RemoveAll(dir) }()
		l, err := net.ListenUnix("unix", &net.UnixAddr{Net: "unix", Name: filepath.Join(dir, "s")})
		if err != nil {
			return err
		}
		l.SetUnlinkOnClose(false)
		_ = l.Close()
		return os.Rename(filepath.Join(dir, "s"), path)
	},
}

func TestWhatIsPlantedIsNoBlob(t *testing.T) {
	for name, plant := range plants {
		t.Run(name, func(t *testing.T) {
			s := newStore(t)
			b := content(1000, 1)
			d := digest.FromBytes(b)
			outside := filepath.Join(t.TempDir(), "outside")
			try(t, os.WriteFile(outside, b, 0o644), plant(blobPath(s, d), outside))

			_, err := s.Stat(d)
			wantErr(t, "Stat", err, blobstore.ErrCorrupt)
			_, err = s.Open(d)
			wantErr(t, "Open", err, blobstore.ErrCorrupt)
			wantErr(t, "Check", s.Check(t.Context(), d, nil), blobstore.ErrCorrupt)
			_, err = s.Trash(d)
			wantErr(t, "Trash", err, blobstore.ErrCorrupt)
			if ok, err := s.Exists(t.Context(), descriptor(d, 1000)); ok || err != nil {
				t.Errorf("Exists = %v, %v", ok, err)
			}
			if foreign, err := s.Foreign(); err != nil || !slices.Equal(foreign, []string{blobPath(s, d)}) {
				t.Errorf("Foreign = %q, %v", foreign, err)
			}
			for d := range s.All() {
				t.Errorf("All has %s", d)
			}
			put(t, s, b) // heals
			wantBlob(t, s, b)
			if info, err := os.Lstat(outside); err != nil || info.Mode() != 0o644 {
				t.Errorf("the file outside is %v, %v", info.Mode(), err)
			}
		})
	}
}

// Many that find a plant at once move it aside once, and not the blob that one of them has published meanwhile.
func TestManyHealOnePlant(t *testing.T) {
	s := newStore(t)
	for i := range 30 {
		b := content(1000, byte(i))
		try(t, os.Symlink("nothing", blobPath(s, digest.FromBytes(b))))
		var all sync.WaitGroup
		for range 4 {
			all.Go(func() {
				l, err := s.Lease()
				if err == nil {
					err = errors.Join(bring(t.Context(), l, b), l.Release())
				}
				if _, statErr := s.Stat(digest.FromBytes(b)); statErr != nil || err != nil && !errors.Is(err, blobstore.ErrExists) {
					t.Errorf("ingest = %v, and then Stat = %v", err, statErr)
				}
			})
		}
		all.Wait()
	}
}

func TestExpelMovesWhatIsPlantedAside(t *testing.T) {
	s := newStore(t)
	d := digest.FromString("x")
	try(t, os.Symlink("nothing", blobPath(s, d)), s.Expel(t.Context(), d, take(t)))
	_, err := s.Stat(d)
	wantErr(t, "Stat", err, blobstore.ErrNotFound)
	if trash := names(t, s, "trash"); len(trash) != 1 {
		t.Errorf("trash holds %q", trash)
	}
	if all, err := s.Trashed(); len(all) != 0 || err != nil {
		t.Errorf("Trashed = %v, %v", all, err)
	}
}

// Another file's name in blobs/: its mode tells, the bytes are read, and healing leaves that file alone.
func TestAPlantedHardLink(t *testing.T) {
	s := newStore(t)
	right := content(1000, 1)
	d := digest.FromBytes(right)
	outside := filepath.Join(t.TempDir(), "outside")
	try(t, os.WriteFile(outside, flipped(right), 0o644), os.Link(outside, blobPath(s, d)))
	_, err := s.Stat(d)
	wantErr(t, "Stat", err, blobstore.ErrMismatch)
	put(t, s, right)
	wantBlob(t, s, right)
	if got, err := os.ReadFile(outside); err != nil || string(got) != string(flipped(right)) {
		t.Errorf("the file outside was changed, %v", err)
	}
}

// What somebody who may write to ingest/ plants there is neither followed nor written through.
func TestAPlantedPartial(t *testing.T) {
	b := content(1000, 1)
	for _, name := range []string{"data", "journal", "owner", "closed"} {
		for kind, link := range map[string]func(old, new string) error{"symbolic": os.Symlink, "hard": os.Link} {
			t.Run(name+" is a "+kind+" link", func(t *testing.T) {
				s := open(t, filepath.Join(t.TempDir(), "store"), quiet) // the planted folder stays for an hour
				outside := filepath.Join(t.TempDir(), "outside")
				partial := filepath.Join(s.Dir("ingest"), digest.FromBytes(b).Encoded()+".planted")
				try(t, os.WriteFile(outside, []byte("precious"), 0o644), os.Mkdir(partial, 0o755))
				for _, other := range []string{"data", "journal", "closed"} {
					if other != name {
						try(t, os.WriteFile(filepath.Join(partial, other), make([]byte, 16), 0o644))
					}
				}
				try(t, link(outside, filepath.Join(partial, name)))
				put(t, s, b)
				if got, err := os.ReadFile(outside); err != nil || string(got) != "precious" {
					t.Errorf("the file outside holds %q, %v", got, err)
				}
			})
		}
	}
}

// A partial that does not say whose it is goes with time, and the link that lies there in place of a file goes alone.
func TestAPlantedPartialIsReaped(t *testing.T) {
	s := newStore(t)
	outside := filepath.Join(t.TempDir(), "outside")
	partial := filepath.Join(s.Dir("ingest"), digest.FromString("x").Encoded()+".planted")
	try(t, os.WriteFile(outside, []byte("precious"), 0o644), os.Mkdir(partial, 0o755), os.Symlink(outside, filepath.Join(partial, "owner")))
	then := time.Now().Add(-2 * time.Hour)
	try(t, unix.Lutimes(filepath.Join(partial, "owner"), []unix.Timeval{unix.NsecToTimeval(then.UnixNano()), unix.NsecToTimeval(then.UnixNano())}),
		os.Chtimes(partial, then, then), errOf(s.ReapIngests(time.Hour)))
	if left := names(t, s, "ingest"); len(left) != 0 {
		t.Errorf("ingest/ holds %q", left)
	}
	if got, err := os.ReadFile(outside); err != nil || string(got) != "precious" {
		t.Errorf("the file outside holds %q, %v", got, err)
	}
}

func TestForeignNames(t *testing.T) {
	s := open(t, filepath.Join(t.TempDir(), "store"), quiet)
	d := put(t, s, content(10, 1))
	var want []string
	for _, name := range []string{".tmp-x", "README", d.Encoded()[:63], d.Encoded() + ".part"} {
		want = append(want, filepath.Join(filepath.Dir(blobPath(s, d)), name))
		try(t, os.WriteFile(want[len(want)-1], nil, 0o644))
	}
	slices.Sort(want)
	if got, err := s.Foreign(); err != nil || !slices.Equal(got, want) {
		t.Errorf("Foreign = %q, %v; want %q", got, err, want)
	}
	var all []digest.Digest
	for d, err := range s.All() {
		try(t, err)
		all = append(all, d)
	}
	if !slices.Equal(all, []digest.Digest{d}) {
		t.Errorf("All = %v", all)
	}
}
