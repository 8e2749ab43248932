package pack_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"runtime"
	"testing"

	"github.com/klauspost/compress/zstd"

	"github.com/mstore/mstore/blobstore/pack"
)

// contents makes n bytes of each kind of file that the goals name.
var contents = map[string]func(n int) []byte{
	"bf16": func(n int) []byte {
		return gauss(n, 2, func(b []byte, f float64) { binary.LittleEndian.PutUint16(b, uint16(math.Float32bits(float32(f))>>16)) })
	},
	"fp16": func(n int) []byte {
		return gauss(n, 2, func(b []byte, f float64) { binary.LittleEndian.PutUint16(b, half(float32(f))) })
	},
	"fp32": func(n int) []byte {
		return gauss(n, 4, func(b []byte, f float64) { binary.LittleEndian.PutUint32(b, math.Float32bits(float32(f))) })
	},
	"fp32 of bf16": func(n int) []byte {
		return gauss(n, 4, func(b []byte, f float64) { binary.LittleEndian.PutUint32(b, math.Float32bits(float32(f))&^0xFFFF) })
	},
	"int8":   random,
	"q8_0":   func(n int) []byte { return quantised(n, 32, 127, func(q []int) []byte { return bytesOf(q) }) },
	"q4_0":   func(n int) []byte { return quantised(n, 32, 7, nibbles) },
	"random": random,
	"text":   text,
	"zeros":  func(n int) []byte { return make([]byte, n) },
}

// most is the ratio that each may have at most.
var most = map[string]float64{
	"bf16": 0.70, "fp16": 0.90, "fp32": 0.88, "fp32 of bf16": 0.36, "int8": 1.01, "q8_0": 1.01, "q4_0": 1.01,
	"random": 1.01, "text": 0.30, "zeros": 0.01,
}

func gauss(n, width int, put func([]byte, float64)) []byte {
	r := rand.New(rand.NewPCG(1, 2))
	b := make([]byte, n+width)
	for i := 0; i < n; i += width {
		put(b[i:], r.NormFloat64()*0.02)
	}
	return b[:n]
}

// half is f as a number of 16 bits, rounded towards zero.
func half(f float32) uint16 {
	u := math.Float32bits(f)
	sign, exp, frac := uint16(u>>16)&0x8000, int(u>>23&0xFF)-112, u&0x7FFFFF
	switch {
	case exp <= -10:
		return sign
	case exp <= 0:
		return sign | uint16((frac|0x800000)>>(14-exp))
	}
	return sign | uint16(exp)<<10 | uint16(frac>>13)
}

// quantised is blocks of a half scale and so many gaussian weights, as GGUF has them.
func quantised(n, block, top int, put func([]int) []byte) []byte {
	r := rand.New(rand.NewPCG(3, 4))
	var out bytes.Buffer
	for out.Len() < n {
		w := make([]float64, block)
		var amax float64
		for i := range w {
			w[i] = r.NormFloat64() * 0.02
			amax = max(amax, math.Abs(w[i]))
		}
		scale := amax / float64(top)
		q := make([]int, block)
		for i := range w {
			q[i] = int(math.Round(w[i] / scale))
		}
		_ = binary.Write(&out, binary.LittleEndian, half(float32(scale)))
		out.Write(put(q))
	}
	return out.Bytes()[:n]
}

func bytesOf(q []int) []byte {
	b := make([]byte, len(q))
	for i := range q {
		b[i] = byte(int8(q[i]))
	}
	return b
}

func nibbles(q []int) []byte {
	b := make([]byte, len(q)/2)
	for i := range b {
		b[i] = byte(q[i]+8) | byte(q[i+len(b)]+8)<<4
	}
	return b
}

func random(n int) []byte {
	var seed [32]byte
	b := make([]byte, n)
	_, _ = rand.NewChaCha8(seed).Read(b)
	return b
}

func text(n int) []byte {
	r := rand.New(rand.NewPCG(5, 6))
	var out bytes.Buffer
	for out.Len() < n {
		fmt.Fprintf(&out, "{\"id\": %d, \"content\": \"token-%d\", \"special\": false},\n", out.Len(), r.IntN(5000))
	}
	return out.Bytes()[:n]
}

func packed(tb testing.TB, raw []byte) []byte {
	tb.Helper()
	var out bytes.Buffer
	n, err := pack.Encode(tb.Context(), &out, bytes.NewReader(raw), int64(len(raw)))
	if err != nil || n != int64(out.Len()) {
		tb.Fatalf("Encode = %d of %d, %v", n, out.Len(), err)
	}
	return out.Bytes()
}

func reader(tb testing.TB, b []byte) *pack.Reader {
	tb.Helper()
	r, err := pack.NewReader(bytes.NewReader(b), int64(len(b)))
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { _ = r.Close() })
	return r
}

func TestEveryKindComesBackAndIsNoLarger(t *testing.T) {
	for name, make := range contents {
		raw := make(3*pack.FrameSize + 12345)
		b := packed(t, raw)
		got, err := io.ReadAll(io.NewSectionReader(reader(t, b), 0, int64(len(raw))))
		if err != nil || !bytes.Equal(got, raw) {
			t.Errorf("%s: came back wrong, %v", name, err)
		}
		ratio := float64(len(b)) / float64(len(raw))
		estimate, err := pack.Estimate(bytes.NewReader(raw), int64(len(raw)))
		if ratio > most[name] || err != nil || math.Abs(estimate-ratio) > 0.04 {
			t.Errorf("%s: ratio %.4f, at most %.2f; estimated %.4f, %v", name, ratio, most[name], estimate, err)
		}
	}
}

func TestEverySize(t *testing.T) {
	for name, make := range contents {
		for _, n := range []int{0, 1, 2, 3, 5, 63, 1023, 4097, 70001, 1<<20 - 1, 1 << 20, 1<<20 + 1, 1<<20 + 3} {
			raw := make(n)
			b := packed(t, raw)
			r := reader(t, b)
			got := append([]byte{}, raw...)
			clear(got)
			if n, err := r.ReadAt(got, 0); n != len(raw) || err != nil || !bytes.Equal(got, raw) || r.Size() != int64(n) {
				t.Errorf("%s, %d bytes: ReadAt = %d, %v, size %d", name, len(raw), n, err, r.Size())
			}
			if n, err := r.ReadAt([]byte{0}, int64(len(raw))); n != 0 || !errors.Is(err, io.EOF) {
				t.Errorf("%s: behind the end: %d, %v", name, n, err)
			}
		}
	}
}

// counting counts what is read of a packed file.
type counting struct {
	io.ReaderAt
	read int
}

func (c *counting) ReadAt(p []byte, off int64) (int, error) {
	n, err := c.ReaderAt.ReadAt(p, off)
	c.read += n
	return n, err
}

func TestTheLastBytesCostOneFrame(t *testing.T) {
	raw := contents["bf16"](8 * pack.FrameSize)
	b := packed(t, raw)
	src := &counting{ReaderAt: bytes.NewReader(b)}
	r, err := pack.NewReader(src, int64(len(b)))
	if err != nil {
		t.Fatal(err)
	}
	got := make([]byte, 4096)
	if _, err := r.ReadAt(got, int64(len(raw)-len(got))); err != nil || !bytes.Equal(got, raw[len(raw)-len(got):]) {
		t.Fatal("wrong bytes", err)
	}
	if src.read > pack.FrameSize {
		t.Errorf("%d bytes were read", src.read)
	}
	if n, err := r.ReadAt(got, -1); n != 0 || err == nil {
		t.Errorf("before the beginning: %d, %v", n, err)
	}
}

// TestZstdReadsIt holds that a packed file is what its name says: decoders of zstd read the planes, and skip the table.
func TestZstdReadsIt(t *testing.T) {
	d, err := zstd.NewReader(nil)
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	for _, name := range []string{"random", "text", "zeros"} {
		raw := contents[name](pack.FrameSize + 5)
		if got, err := d.DecodeAll(packed(t, raw), nil); err != nil || !bytes.Equal(got, raw) {
			t.Errorf("%s: %v", name, err)
		}
	}
	raw := contents["bf16"](pack.FrameSize)
	if got, err := d.DecodeAll(packed(t, raw), nil); err != nil || len(got) != len(raw) || got[1] != raw[2] {
		t.Errorf("planes: %d bytes, %v", len(got), err)
	}
}

func TestDamageIsFound(t *testing.T) {
	raw := contents["bf16"](pack.FrameSize + 999)
	b := packed(t, raw)
	r := rand.New(rand.NewPCG(7, 8))
	for i := range 300 {
		at := r.IntN(len(b))
		if i < 90 { // the table
			at = len(b) - 1 - i
		}
		bad := bytes.Clone(b)
		bad[at] ^= 1 << r.IntN(8)
		got := make([]byte, len(raw))
		p, err := pack.NewReader(bytes.NewReader(bad), int64(len(bad)))
		if err == nil {
			var n int
			n, err = p.ReadAt(got, 0)
			err = errors.Join(err, p.Close())
			if errors.Is(err, io.EOF) && n < len(raw) { // it says that it is shorter
				continue
			}
			got = got[:n]
		}
		if err == nil && !bytes.Equal(got, raw) {
			t.Errorf("byte %d of %d: wrong bytes without an error", at, len(b))
		}
		if err != nil && !errors.Is(err, pack.ErrFormat) {
			t.Errorf("byte %d of %d: %v", at, len(b), err)
		}
	}
}

func TestEncodeStops(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	src := bytes.NewReader(make([]byte, 10))
	if _, err := pack.Encode(ctx, io.Discard, src, 10); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
	if _, err := pack.Encode(t.Context(), io.Discard, src, 11); !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("too short: %v", err)
	}
	if _, err := pack.Encode(t.Context(), io.Discard, src, -1); err == nil {
		t.Error("a negative size was packed")
	}
	full := errors.New("disk full")
	if _, err := pack.Encode(t.Context(), failing{full}, src, 10); !errors.Is(err, full) {
		t.Errorf("disk full: %v", err)
	}
}

type failing struct{ err error }

func (f failing) Write([]byte) (int, error) { return 0, f.err }

func FuzzReader(f *testing.F) {
	for _, name := range []string{"bf16", "fp32", "text", "zeros", "random"} {
		f.Add(packed(f, contents[name](3000)))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		r, err := pack.NewReader(bytes.NewReader(b), int64(len(b)))
		if err != nil {
			return
		}
		defer func() { _ = r.Close() }()
		buf := make([]byte, 4096)
		for _, off := range []int64{0, r.Size() - 4096, r.Size() / 2} {
			n, err := r.ReadAt(buf, max(0, off))
			if n < len(buf) && err == nil {
				t.Fatal("a short read without an error")
			}
		}
	})
}

// BenchmarkEncode and BenchmarkDecode report the ratio and the speed of one core, in original bytes:
//
//	GOMAXPROCS=1 go test -bench . ./blobstore/pack
func BenchmarkEncode(b *testing.B) {
	each(b, func(b *testing.B, raw []byte) {
		b.Helper()
		var n int64
		for b.Loop() {
			n, _ = pack.Encode(b.Context(), io.Discard, bytes.NewReader(raw), int64(len(raw)))
		}
		b.ReportMetric(float64(n)/float64(len(raw)), "ratio")
	})
}

func BenchmarkDecode(b *testing.B) {
	each(b, func(b *testing.B, raw []byte) {
		b.Helper()
		r := reader(b, packed(b, raw))
		buf := make([]byte, pack.FrameSize)
		for b.Loop() {
			for off := 0; off < len(raw); off += len(buf) {
				if _, err := r.ReadAt(buf, int64(off)); err != nil {
					b.Fatal(err)
				}
			}
		}
	})
}

func each(b *testing.B, run func(b *testing.B, raw []byte)) {
	b.Helper()
	for _, name := range []string{"bf16", "fp16", "fp32", "fp32 of bf16", "int8", "q8_0", "q4_0", "random", "text"} {
		raw := contents[name](16 * pack.FrameSize)
		runtime.GC()
		b.Run(name, func(b *testing.B) {
			b.SetBytes(int64(len(raw)))
			run(b, raw)
		})
	}
}
