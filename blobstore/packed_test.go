package blobstore_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"io"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"

	"github.com/opencontainers/go-digest"

	"github.com/mstore/mstore/blobstore"
)

// weights are n bytes of numbers as models have them: bf16, around zero.
func weights(n int) []byte {
	r := rand.New(rand.NewPCG(1, 2))
	raw := make([]byte, 0, n+1)
	for len(raw) < n {
		raw = binary.LittleEndian.AppendUint16(raw, uint16(math.Float32bits(float32(r.NormFloat64()*0.02))>>16))
	}
	return raw[:n]
}

func packedFile(s *blobstore.Store, d digest.Digest) string {
	return filepath.Join(s.Root(), "packed", "sha256", d.Encoded()+".zst")
}

func forms(t *testing.T, s *blobstore.Store, d digest.Digest) (raw, packed bool) {
	t.Helper()
	_, rawErr := os.Lstat(filepath.Join(s.Root(), "blobs", "sha256", d.Encoded()))
	_, packedErr := os.Lstat(packedFile(s, d))
	return rawErr == nil, packedErr == nil
}

func TestAPackedBlobIsReadAsBefore(t *testing.T) {
	s := open(t, t.TempDir(), blobstore.Options{})
	raw := weights(3<<20 + 17)
	d := put(t, s, raw)
	saved, err := s.Pack(t.Context(), d)
	try(t, err)
	info, err := s.Stat(d)
	try(t, err)
	if want := int64(len(raw)) / 4; saved < want || info.Size != int64(len(raw)) || info.Stored != info.Size-saved || !info.Packed() {
		t.Fatalf("saved %d, %+v", saved, info)
	}
	if raw, packed := forms(t, s, d); raw || !packed {
		t.Fatalf("raw %v, packed %v", raw, packed)
	}
	b, err := s.Open(d)
	try(t, err)
	defer func() { try(t, b.Close()) }()
	got, err := io.ReadAll(b)
	if err != nil || !bytes.Equal(got, raw) {
		t.Fatalf("read %d bytes, %v", len(got), err)
	}
	if _, err := b.Seek(-100, io.SeekEnd); err != nil {
		t.Fatal(err)
	}
	if got, err := io.ReadAll(b); err != nil || !bytes.Equal(got, raw[len(raw)-100:]) {
		t.Fatalf("the end is %d bytes, %v", len(got), err)
	}
	try(t, s.Check(t.Context(), d, nil))
	var all []digest.Digest
	for d, err := range s.All() {
		try(t, err)
		all = append(all, d)
	}
	size, err := s.Size(d)
	if err != nil || size != info.Stored || len(all) != 1 || all[0] != d {
		t.Errorf("All = %v, Size = %d, %v", all, size, err)
	}
	if again, err := s.Pack(t.Context(), d); again != 0 || err != nil {
		t.Errorf("packed again: %d, %v", again, err)
	}
}

func TestUnpack(t *testing.T) {
	s := open(t, t.TempDir(), blobstore.Options{})
	raw := weights(2 << 20)
	d := put(t, s, raw)
	_, err := s.Pack(t.Context(), d)
	try(t, err)
	l := newLease(t, s)
	try(t, l.Unpack(t.Context(), d), l.Unpack(t.Context(), d))
	if raw, packed := forms(t, s, d); !raw || packed {
		t.Fatalf("raw %v, packed %v", raw, packed)
	}
	b, err := s.Open(d)
	try(t, err)
	defer func() { try(t, b.Close()) }()
	got, err := os.ReadFile(b.File().Name())
	if err != nil || !bytes.Equal(got, raw) || b.Packed() {
		t.Fatalf("the file has %d bytes, %v", len(got), err)
	}
	held, err := s.Held()
	try(t, err)
	if _, ok := held[d]; !ok {
		t.Error("what was unpacked is not held")
	}
}

func TestWhatStaysRaw(t *testing.T) {
	noise := content(2<<20, 1)
	s := open(t, t.TempDir(), blobstore.Options{})
	noisy, linked := put(t, s, noise), put(t, s, weights(1<<20))
	try(t, os.Link(filepath.Join(s.Root(), "blobs", "sha256", linked.Encoded()), filepath.Join(t.TempDir(), "mine")))
	for what, d := range map[string]digest.Digest{"noise": noisy, "a blob with another name": linked} {
		saved, err := s.Pack(t.Context(), d)
		if raw, packed := forms(t, s, d); err != nil || saved != 0 || !raw || packed {
			t.Errorf("%s: saved %d, %v; raw %v, packed %v", what, saved, err, raw, packed)
		}
	}
	_, err := s.Pack(t.Context(), digest.FromString("not here"))
	wantErr(t, "Pack", err, blobstore.ErrNotFound)
	if left := names(t, s, "ingest"); len(left) > 0 {
		t.Errorf("left in ingest: %v", left)
	}
}

func TestADamagedBlobIsNotPacked(t *testing.T) {
	s := open(t, t.TempDir(), blobstore.Options{})
	raw := weights(2 << 20)
	d := put(t, s, raw)
	path := filepath.Join(s.Root(), "blobs", "sha256", d.Encoded())
	raw[5] ^= 1
	try(t, os.Chmod(path, 0o644), os.WriteFile(path, raw, 0o644), os.Chmod(path, 0o444))
	_, err := s.Pack(t.Context(), d)
	wantErr(t, "Pack", err, blobstore.ErrMismatch)
	if raw, packed := forms(t, s, d); !raw || packed {
		t.Errorf("raw %v, packed %v", raw, packed)
	}
}

// A packed file that is damaged anywhere is found by Check, is not unpacked, and can be expelled and fetched again.
func TestADamagedPackedBlob(t *testing.T) {
	raw := weights(2 << 20)
	for what, at := range map[string]int64{"a frame": 1000, "the footer": -3, "the size": -15, "an entry": -40} {
		t.Run(what, func(t *testing.T) {
			s := open(t, t.TempDir(), blobstore.Options{})
			d := put(t, s, raw)
			_, err := s.Pack(t.Context(), d)
			try(t, err)
			path := packedFile(s, d)
			packed, err := os.ReadFile(path)
			try(t, err)
			if at < 0 {
				at += int64(len(packed))
			}
			packed[at] ^= 0x55
			try(t, os.Chmod(path, 0o644), os.WriteFile(path, packed, 0o644), os.Chmod(path, 0o444))
			wantErr(t, "Check", s.Check(t.Context(), d, nil), blobstore.ErrMismatch)
			wantErr(t, "Unpack", newLease(t, s).Unpack(t.Context(), d), blobstore.ErrMismatch)
			var took string
			try(t, s.Expel(t.Context(), d, func(p string) error { took = p; return os.Remove(p) }))
			if took != path {
				t.Errorf("took %s", took)
			}
			if put(t, s, raw) != d {
				t.Error("another digest")
			}
			try(t, s.Check(t.Context(), d, nil))
		})
	}
}

// A blob may have both forms, after a kill. Every one of them goes to trash, comes back, and can be given up.
func TestBothForms(t *testing.T) {
	s := open(t, t.TempDir(), blobstore.Options{})
	raw := weights(2 << 20)
	d := put(t, s, raw)
	_, err := s.Pack(t.Context(), d)
	try(t, err)
	whole, err := os.ReadFile(packedFile(s, d))
	try(t, err, newLease(t, s).Unpack(t.Context(), d))
	both := func() { try(t, os.WriteFile(packedFile(s, d), whole, 0o444)) }
	both()
	n := 0
	for range s.All() {
		n++
	}
	if n != 1 {
		t.Errorf("All gave it %d times", n)
	}
	moved, err := s.Trash(d)
	if err != nil || len(moved) != 2 {
		t.Fatalf("Trash = %v, %v", moved, err)
	}
	if got, err := s.Trashed(); err != nil || len(got) != 2 {
		t.Fatalf("Trashed = %v, %v", got, err)
	}
	for _, m := range moved {
		try(t, m.Restore())
	}
	if raw, packed := forms(t, s, d); !raw || !packed {
		t.Fatalf("raw %v, packed %v", raw, packed)
	}
	saved, err := s.Pack(t.Context(), d)
	if raw, packed := forms(t, s, d); err != nil || saved == 0 || raw || !packed {
		t.Fatalf("saved %d, %v; raw %v, packed %v", saved, err, raw, packed)
	}
	try(t, newLease(t, s).Unpack(t.Context(), d))
	both()
	freed, err := s.ReapIngests(0)
	if raw, packed := forms(t, s, d); err != nil || freed != int64(len(whole)) || !raw || packed {
		t.Fatalf("freed %d, %v; raw %v, packed %v", freed, err, raw, packed)
	}
	_, err = s.Pack(t.Context(), d)
	try(t, err)
	moved, err = s.Trash(d)
	try(t, err)
	if len(moved) != 1 {
		t.Fatalf("Trash = %v", moved)
	}
	try(t, s.Check(t.Context(), d, nil)) // a reader puts it back
	if raw, packed := forms(t, s, d); raw || !packed {
		t.Fatalf("raw %v, packed %v", raw, packed)
	}
}

// Processes that pack and unpack one blob and sweeps that move it never leave a reader without it.
func TestPackingBesideEverybody(t *testing.T) {
	s := open(t, t.TempDir(), blobstore.Options{})
	raw := weights(1 << 20)
	d := put(t, s, raw)
	l := newLease(t, s)
	try(t, l.Hold(d))
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	done := make(chan error, 4)
	loop := func(act func() error) {
		go func() {
			var err error
			for err == nil && ctx.Err() == nil {
				err = act()
			}
			if ctx.Err() != nil {
				err = nil
			}
			done <- err
		}()
	}
	loop(func() error { _, err := s.Pack(ctx, d); return err })
	loop(func() error { return l.Unpack(ctx, d) })
	loop(func() error {
		moved, err := s.Trash(d)
		if errors.Is(err, blobstore.ErrNotFound) { // who packs or unpacks has it aside
			return nil
		}
		for _, m := range moved {
			err = errors.Join(err, m.Restore())
		}
		return err
	})
	for range 150 {
		if err := s.Check(t.Context(), d, nil); err != nil {
			t.Error(err)
			break
		}
	}
	cancel()
	for range 3 {
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
	try(t, s.Check(t.Context(), d, nil))
}

// Bytes that come in by name, of a blob that is packed, leave one form.
func TestIngestOfAPackedBlob(t *testing.T) {
	s := open(t, t.TempDir(), blobstore.Options{})
	raw := weights(2 << 20)
	d := put(t, s, raw)
	_, err := s.Pack(t.Context(), d)
	try(t, err)
	l := newLease(t, s)
	_, err = l.Ingest(t.Context(), want(raw))
	wantErr(t, "Ingest", err, blobstore.ErrExists)
	in := ingest(t, l, blobstore.Want{Name: "a name", Size: int64(len(raw))})
	write(t, in, raw, 0)
	info, err := in.Commit(t.Context())
	if raw, packed := forms(t, s, d); err != nil || info.Packed() || !raw || packed {
		t.Errorf("%+v, %v; raw %v, packed %v", info, err, raw, packed)
	}
}
