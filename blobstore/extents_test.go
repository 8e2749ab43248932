package blobstore_test

import (
	"math"
	"math/rand/v2"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/mstore/mstore/blobstore"
)

// bitmap is the model of a set of ranges.
type bitmap [64]bool

func (m *bitmap) set(start, end int64, to bool) {
	for i := start; i < end; i++ {
		m[i] = to
	}
}

// ranges are the runs in [start, end) whose bits are bit.
func (m *bitmap) ranges(start, end int64, bit bool) [][2]int64 {
	var all [][2]int64
	for i := start; i < end; i++ {
		switch n := len(all); {
		case m[i] != bit:
		case n > 0 && all[n-1][1] == i:
			all[n-1][1]++
		default:
			all = append(all, [2]int64{i, i + 1})
		}
	}
	return all
}

func TestExtentsAreABitmap(t *testing.T) {
	seed := rand.Uint64()
	random := rand.New(rand.NewPCG(seed, 0))
	for range 500 {
		var x blobstore.Extents
		var m bitmap
		for range 20 {
			a, b := random.Int64N(65), random.Int64N(65)
			add := random.IntN(4) > 0
			m.set(min(a, b), max(a, b), add)
			if add {
				x.Add(min(a, b), max(a, b))
			} else {
				x.Remove(min(a, b), max(a, b))
			}
			want := m.ranges(0, 64, true)
			if diff := cmp.Diff(want, x.Ranges()); diff != "" {
				t.Fatalf("seed %d: (-want +got)\n%s", seed, diff)
			}
			wantEnds(t, &x, want)
			from, to := random.Int64N(65), random.Int64N(65)
			if diff := cmp.Diff(m.ranges(from, to, false), x.Gaps(from, to)); diff != "" {
				t.Fatalf("seed %d: gaps of [%d, %d) in %v (-want +got)\n%s", seed, from, to, x.Ranges(), diff)
			}
		}
	}
}

func wantEnds(t *testing.T, x *blobstore.Extents, want [][2]int64) {
	t.Helper()
	var front, end, total int64
	for i, r := range want {
		if i == 0 && r[0] == 0 {
			front = r[1]
		}
		end, total = r[1], total+r[1]-r[0]
	}
	if x.Front() != front || x.End() != end || x.Total() != total {
		t.Fatalf("front, end, total of %v = %d, %d, %d; want %d, %d, %d", want, x.Front(), x.End(), x.Total(), front, end, total)
	}
}

// TestMissing writes in any order, overlapping, and compares Missing with the model after each.
func TestMissing(t *testing.T) {
	s := newStore(t)
	seed := rand.Uint64()
	random := rand.New(rand.NewPCG(seed, 0))
	for i := range 20 {
		b := content(64, byte(i))
		in := ingest(t, newLease(t, s), want(b))
		for m := (bitmap{}); ; {
			wantGap := append(m.ranges(0, 64, false), [2]int64{64, 64})[0]
			off, n := in.Missing()
			if off != wantGap[0] || off+n != wantGap[1] {
				t.Fatalf("seed %d: Missing = %d, %d; want %v", seed, off, n, wantGap)
			}
			from := random.Int64N(65)
			wantGap = append(m.ranges(from, 64, false), [2]int64{64, 64})[0]
			if at, left := in.MissingFrom(from); at != wantGap[0] || at+left != wantGap[1] {
				t.Fatalf("seed %d: MissingFrom(%d) = %d, %d; want %v", seed, from, at, left, wantGap)
			}
			if n == 0 {
				break
			}
			x, y := random.Int64N(65), random.Int64N(65)
			write(t, in, b[min(x, y):max(x, y)], min(x, y))
			m.set(min(x, y), max(x, y), true)
		}
		if _, err := in.Commit(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
}

// The edges, with and without a size.
func TestMissingFrom(t *testing.T) {
	s := newStore(t)
	for _, c := range []struct{ size, at, off, n int64 }{
		{100, math.MinInt64, 0, 10},
		{100, 5, 5, 5},
		{100, 10, 20, 80},
		{100, 99, 99, 1},
		{100, 100, 100, 0},
		{100, 200, 200, 0},
		{-1, 0, 0, 10},
		{-1, 9, 9, 1},
		{-1, 10, 20, -1},
		{-1, 15, 20, -1},
		{-1, 30, 30, -1},
		{-1, math.MaxInt64 - 1, math.MaxInt64 - 1, -1},
	} {
		in := ingest(t, newLease(t, s), blobstore.Want{Size: c.size})
		write(t, in, make([]byte, 10), 10)
		if off, n := in.MissingFrom(c.at); off != c.off || n != c.n {
			t.Errorf("size %d: MissingFrom(%d) = %d, %d; want %d, %d", c.size, c.at, off, n, c.off, c.n)
		}
	}
}

// Many writers of overlapping ranges: as soon as nothing is missing, all of it is there.
func TestWriteAtFromManyGoroutines(t *testing.T) {
	s := newStore(t)
	b := content(2<<20, 1)
	in := ingest(t, newLease(t, s), want(b))
	const piece = 64 << 10
	var all sync.WaitGroup
	for w := range 8 {
		all.Go(func() {
			random := rand.New(rand.NewPCG(uint64(w), 0))
			starts := random.Perm(len(b) / piece)
			for _, i := range starts {
				if _, n := in.Missing(); n == 0 {
					break
				}
				start := int64(i) * piece
				end := min(start+piece+random.Int64N(piece), int64(len(b)))
				if _, err := in.WriteAt(b[start:end], start); err != nil {
					t.Error(err)
				}
			}
		})
	}
	all.Wait()
	if _, err := in.Commit(t.Context()); err != nil {
		t.Fatal(err)
	}
}

func TestWriteAtRefuses(t *testing.T) {
	in := ingest(t, newLease(t, newStore(t)), want(content(10, 1)))
	for _, off := range []int64{-1, 1, 11, math.MaxInt64, math.MinInt64} {
		if n, err := in.WriteAt(make([]byte, 10), off); n != 0 || err == nil {
			t.Errorf("WriteAt(10 bytes of 10, %d) = %d, %v", off, n, err)
		}
	}
	if off, n := in.Missing(); off != 0 || n != 10 {
		t.Errorf("Missing = %d, %d: what was refused was kept", off, n)
	}
}
