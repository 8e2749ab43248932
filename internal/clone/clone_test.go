package clone_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"
	"testing/iotest"

	"github.com/mstore/mstore/internal/clone"
)

// twoStrides is more than two looks at the context.
const twoStrides = 2*8<<20 + 12345

func TestCopy(t *testing.T) {
	for _, size := range []int{0, 1, 1 << 20, 8 << 20, twoStrides} {
		want := random(size)
		src := file(t, want)
		dst := file(t, nil)
		var seen int64
		n, err := clone.Copy(t.Context(), dst, src, func(n int64) { seen += n })
		if err != nil || n != int64(size) || seen != n {
			t.Fatalf("Copy of %d bytes = %d, %v; progress %d", size, n, err, seen)
		}
		wantContent(t, dst.Name(), want)
	}
}

func TestCopyBetweenReadersAndWriters(t *testing.T) {
	want := random(3 << 20)
	for name, src := range map[string]io.Reader{
		"plain":          bytes.NewReader(want),
		"data with EOF":  iotest.DataErrReader(bytes.NewReader(want)),
		"half reads":     iotest.HalfReader(bytes.NewReader(want)),
		"empty then EOF": io.MultiReader(bytes.NewReader(nil), bytes.NewReader(want)),
	} {
		var dst bytes.Buffer
		n, err := clone.Copy(t.Context(), &dst, src, nil)
		if err != nil || n != int64(len(want)) || !bytes.Equal(dst.Bytes(), want) {
			t.Errorf("%s: Copy = %d, %v", name, n, err)
		}
	}
}

func TestCopyStartsAtTheOffsets(t *testing.T) {
	src, dst := file(t, []byte("0123456789")), file(t, []byte("abc"))
	for f, off := range map[*os.File]int64{src: 4, dst: 3} {
		if _, err := f.Seek(off, io.SeekStart); err != nil {
			t.Fatal(err)
		}
	}
	if n, err := clone.Copy(t.Context(), dst, src, nil); n != 6 || err != nil {
		t.Fatalf("Copy = %d, %v", n, err)
	}
	wantContent(t, dst.Name(), []byte("abc456789"))
}

func TestCopyEndsWithItsContext(t *testing.T) {
	for name, dst := range map[string]io.Writer{"kernel": file(t, nil), "buffered": &bytes.Buffer{}} {
		ctx, cancel := context.WithCancel(t.Context())
		n, err := clone.Copy(ctx, dst, file(t, random(twoStrides)), func(int64) { cancel() })
		if !errors.Is(err, context.Canceled) || n == 0 || n >= twoStrides {
			t.Errorf("%s: Copy = %d, %v", name, n, err)
		}
	}
}

func TestCopyReportsEveryFault(t *testing.T) {
	fault := errors.New("fault")
	for name, c := range map[string]struct {
		dst  io.Writer
		src  io.Reader
		want error
	}{
		"read":           {io.Discard, iotest.ErrReader(fault), fault},
		"read that ends": {io.Discard, io.MultiReader(bytes.NewReader(nil), iotest.ErrReader(io.ErrUnexpectedEOF)), io.ErrUnexpectedEOF},
		"wrapped EOF":    {io.Discard, iotest.ErrReader(errors.Join(fault, io.EOF)), fault},
		"write":          {writer(func(p []byte) (int, error) { return 1, fault }), bytes.NewReader([]byte("ab")), fault},
		"write says EOF": {writer(func(p []byte) (int, error) { return 0, io.EOF }), bytes.NewReader([]byte("ab")), io.EOF},
		"short write":    {writer(func(p []byte) (int, error) { return 1, nil }), bytes.NewReader([]byte("ab")), io.ErrShortWrite},
	} {
		if _, err := clone.Copy(t.Context(), c.dst, c.src, nil); !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", name, err, c.want)
		}
	}
}

func TestCopyToAClosedFile(t *testing.T) {
	src, dst := file(t, []byte("x")), file(t, nil)
	if err := dst.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := clone.Copy(t.Context(), dst, src, nil); !errors.Is(err, os.ErrClosed) {
		t.Errorf("Copy to a closed file = %v", err)
	}
	if err := clone.File(dst, src); err == nil || errors.Is(err, clone.ErrUnsupported) {
		t.Errorf("File to a closed file = %v", err)
	}
}

type writer func(p []byte) (int, error)

func (w writer) Write(p []byte) (int, error) { return w(p) }

func random(n int) []byte {
	b := make([]byte, n)
	_, _ = rand.NewChaCha8([32]byte{1}).Read(b)
	return b
}

// file is an open file with the content, at offset 0.
func file(t *testing.T, content []byte) *os.File {
	t.Helper()
	return fileIn(t, t.TempDir(), content)
}

func fileIn(t *testing.T, dir string, content []byte) *os.File {
	t.Helper()
	f, err := os.OpenFile(filepath.Join(dir, "f"), os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = f.Close() })
	if _, err := f.WriteAt(content, 0); err != nil {
		t.Fatal(err)
	}
	return f
}

func wantContent(t *testing.T, path string, want []byte) {
	t.Helper()
	got, err := os.ReadFile(path)
	if err != nil || !bytes.Equal(got, want) {
		t.Errorf("%s: %d bytes, %v; want %d, equal", path, len(got), err, len(want))
	}
}
