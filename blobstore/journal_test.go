package blobstore_test

import (
	"bytes"
	"math"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/mstore/mstore/blobstore"
)

func TestAJournalMaySayAnything(t *testing.T) {
	const length = 100
	for name, c := range map[string]struct {
		words []int64 // starts and ends
		spoil func(raw []byte) []byte
		want  [][2]int64
	}{
		"nothing":           {nil, nil, nil},
		"overlaps":          {[]int64{0, 10, 5, 20, 19, 21}, nil, [][2]int64{{0, 21}}},
		"out of order":      {[]int64{50, 60, 0, 10}, nil, [][2]int64{{0, 10}, {50, 60}}},
		"beyond the data":   {[]int64{90, 200, 150, 160}, nil, [][2]int64{{90, 100}}},
		"backwards":         {[]int64{20, 10, 0, 0, 5, 5}, nil, nil},
		"negative":          {[]int64{-1, 10, math.MinInt64, math.MaxInt64, 5, -5}, nil, nil},
		"as large as it is": {[]int64{0, math.MaxInt64}, nil, [][2]int64{{0, 100}}},
		"a record cut off":  {[]int64{0, 10, 20, 30}, func(raw []byte) []byte { return raw[:len(raw)-1] }, [][2]int64{{0, 10}}},
		"a bit flipped":     {[]int64{0, 10, 20, 30}, func(raw []byte) []byte { raw[47] ^= 1; return raw }, [][2]int64{{0, 10}}},
		"zeros between": {[]int64{0, 10, 20, 30}, func(raw []byte) []byte {
			return append(append(bytes.Clone(raw[:32]), make([]byte, 32)...), raw[32:]...)
		}, [][2]int64{{0, 10}, {20, 30}}},
	} {
		var raw []byte
		for ; len(c.words) > 0; c.words = c.words[2:] {
			raw = blobstore.AppendRecord(raw, "boot", c.words[0], c.words[1], 7)
		}
		if c.spoil != nil {
			raw = c.spoil(raw)
		}
		if diff := cmp.Diff(c.want, blobstore.ParseJournal(raw, "boot", length)); diff != "" {
			t.Errorf("%s (-want +got)\n%s", name, diff)
		}
		if got := blobstore.ParseJournal(raw, "reboot", length); got != nil {
			t.Errorf("%s: another boot believes %v", name, got)
		}
	}
}

func FuzzParseJournal(f *testing.F) {
	f.Add(make([]byte, 64), int64(10))
	f.Add(blobstore.AppendRecord(blobstore.AppendRecord(nil, "boot", 1, 5, 9), "boot", 5, math.MaxInt64, math.MaxInt64), int64(3))
	f.Fuzz(func(t *testing.T, raw []byte, length int64) {
		last := int64(-1)
		for _, r := range blobstore.ParseJournal(raw, "boot", max(length, 0)) {
			if r[0] <= last || r[1] <= r[0] || r[1] > length {
				t.Fatalf("%v after %d, of %d bytes", r, last, length)
			}
			last = r[1]
		}
	})
}

// FuzzParseMark wants that of what it takes, it took all: no mark is read from other bytes than it is written as.
func FuzzParseMark(f *testing.F) {
	f.Add(blobstore.AppendMark("boot", content(1000, 1)), "boot")
	f.Add(make([]byte, 128), "")
	f.Fuzz(func(t *testing.T, raw []byte, key string) {
		if again, ok := blobstore.ParseMark(raw, key); ok && !bytes.Equal(again, raw[:len(again)]) {
			t.Fatalf("%x is read as %x", raw, again)
		}
	})
}

func TestParseMark(t *testing.T) {
	raw := blobstore.AppendMark("boot", content(1000, 1))
	if _, ok := blobstore.ParseMark(raw, "boot"); !ok || len(raw) != 128 {
		t.Fatalf("a mark of %d bytes is not read", len(raw))
	}
	if _, ok := blobstore.ParseMark(raw, "reboot"); ok {
		t.Error("a mark of another boot is read")
	}
	for i := range raw {
		raw[i] ^= 1
		if _, ok := blobstore.ParseMark(raw, "boot"); ok {
			t.Errorf("a mark with a wrong byte %d is read", i)
		}
		raw[i] ^= 1
	}
}

// A journal does not grow with the number of writes, and what it was shortened to says the same.
func TestAJournalIsBounded(t *testing.T) {
	s := newStore(t)
	b := content(1<<20, 1)
	in := ingest(t, newLease(t, s), want(b))
	const piece = 16
	for off := 0; off+2*piece <= len(b); off += 2 * piece { // no two records can be one
		write(t, in, b[off+piece:off+2*piece], int64(off+piece))
		write(t, in, b[off:off+piece], int64(off))
	}
	partial := onePartial(t, s)
	info, err := os.Stat(filepath.Join(partial, "journal"))
	if err != nil || info.Size() > 1100*32 {
		t.Errorf("the journal of one extent in 65536 writes has %d bytes, %v", info.Size(), err)
	}
	try(t, in.Close())
	in = ingest(t, newLease(t, s), want(b))
	if in.Resumed() != int64(len(b)) {
		t.Errorf("Resumed = %d", in.Resumed())
	}
	try(t, errOf(in.Commit(t.Context())))
}

// onePartial is the folder of the only partial in the store.
func onePartial(t *testing.T, s *blobstore.Store) string {
	t.Helper()
	left := names(t, s, "ingest")
	if len(left) != 1 {
		t.Fatalf("ingest/ holds %q", left)
	}
	return filepath.Join(s.Dir("ingest"), left[0])
}
