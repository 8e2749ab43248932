package blobstore_test

import (
	"bytes"
	"crypto/sha256"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"github.com/opencontainers/go-digest"

	"github.com/mstore/mstore/blobstore"
)

const (
	benchSize  = 256 << 20
	benchPiece = 1 << 20
)

// BenchmarkFloorWrite is what the disk does alone: the bytes written in pieces, and synced.
func BenchmarkFloorWrite(b *testing.B) {
	data := content(benchSize, 1)
	benchFloor(b, func(f *os.File) { writeSynced(b, f, data) })
}

// BenchmarkFloorHash is what a core does alone.
func BenchmarkFloorHash(b *testing.B) {
	data := content(benchSize, 1)
	benchFloor(b, func(*os.File) { sha256.Sum256(data) })
}

// BenchmarkFloor is the two at once: no durable, verified ingest is faster on this machine.
func BenchmarkFloor(b *testing.B) {
	data := content(benchSize, 1)
	benchFloor(b, func(f *os.File) {
		var both sync.WaitGroup
		both.Go(func() { writeSynced(b, f, data) })
		both.Go(func() { sha256.Sum256(data) })
		both.Wait()
	})
}

func writeSynced(b *testing.B, f *os.File, data []byte) {
	b.Helper()
	for off := int64(0); off < benchSize; off += benchPiece {
		_, err := f.WriteAt(data[off:off+benchPiece], off)
		try(b, err)
	}
	try(b, f.Sync())
}

func benchFloor(b *testing.B, do func(f *os.File)) {
	b.Helper()
	path := filepath.Join(b.TempDir(), "f")
	b.SetBytes(benchSize)
	for b.Loop() {
		f, err := os.Create(path)
		try(b, err)
		do(f)
		b.StopTimer()
		try(b, f.Close(), os.Remove(path))
		b.StartTimer()
	}
}

// BenchmarkIngest is a blob from WriteAt to the end of a durable Commit. See BenchmarkFloor.
func BenchmarkIngest(b *testing.B) {
	data := content(benchSize, 1)
	benchIngest(b, data, func(in *blobstore.Ingest) {
		for off := int64(0); off < benchSize; off += benchPiece {
			write(b, in, data[off:off+benchPiece], off)
		}
	})
}

// BenchmarkCopyFrom is the same from a file that is in the page cache.
func BenchmarkCopyFrom(b *testing.B) {
	data := content(benchSize, 1)
	src := fileOf(b, data)
	benchIngest(b, data, func(in *blobstore.Ingest) { try(b, in.CopyFrom(b.Context(), src, nil)) })
}

func benchIngest(b *testing.B, data []byte, bring func(in *blobstore.Ingest)) {
	b.Helper()
	s := open(b, filepath.Join(b.TempDir(), "store"), quiet)
	l := newLease(b, s)
	d := digest.FromBytes(data)
	b.SetBytes(benchSize)
	for b.Loop() {
		in, err := l.Ingest(b.Context(), blobstore.Want{Digest: d, Size: benchSize})
		try(b, err)
		bring(in)
		try(b, errOf(in.Commit(b.Context())))
		b.StopTimer()
		trashed, err := s.Trash(d)
		try(b, err, errOf(trashed[0].Delete()))
		b.StartTimer()
	}
}

// BenchmarkIngestSmall is a blob of a few bytes, as a manifest is.
func BenchmarkIngestSmall(b *testing.B) {
	s := open(b, filepath.Join(b.TempDir(), "store"), quiet)
	l := newLease(b, s)
	var n int
	for b.Loop() {
		n++
		try(b, bring(b.Context(), l, bytes.Repeat([]byte{byte(n), byte(n >> 8), byte(n >> 16)}, 300)))
	}
}

// BenchmarkAll100k walks a store of 100,000 blobs, which are empty here: a walk does not look inside.
func BenchmarkAll100k(b *testing.B) {
	s := open(b, filepath.Join(b.TempDir(), "store"), quiet)
	for n := range 100_000 {
		f, err := os.OpenFile(blobPath(s, digest.FromBytes([]byte{byte(n), byte(n >> 8), byte(n >> 16)})), os.O_CREATE|os.O_EXCL, 0o444)
		try(b, err, f.Close())
	}
	for b.Loop() {
		n := 0
		for _, err := range s.All() {
			try(b, err)
			n++
		}
		if n != 100_000 {
			b.Fatal(n)
		}
	}
}
