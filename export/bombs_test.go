package export_test

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"errors"
	"io"
	"strconv"
	"strings"
	"testing"

	"github.com/klauspost/compress/zstd"

	"github.com/mstore/mstore/blobstore/storetest"
	"github.com/mstore/mstore/export"
	"github.com/mstore/mstore/manifest"
)

func TestBombs(t *testing.T) {
	for name, c := range map[string]struct {
		archive manifest.Archive
		bomb    func(w io.Writer) error
	}{
		"a big file, gzip": {manifest.TarGzip, func(w io.Writer) error { return zeros(w, 400<<20) }},
		"a big file, zstd": {manifest.TarZstd, func(w io.Writer) error { return zeros(w, 300<<20) }},
		"many files, zstd": {manifest.TarZstd, func(w io.Writer) error {
			tw := tar.NewWriter(w)
			for i := range 100_001 {
				if err := tw.WriteHeader(&tar.Header{Typeflag: tar.TypeXGlobalHeader, Name: strconv.Itoa(i), PAXRecords: map[string]string{"a": "b"}}); err != nil {
					return err
				}
			}
			return tw.Close()
		}},
		"endless headers, zstd": {manifest.TarZstd, func(w io.Writer) error { return headers(w, 600) }},
		"a sparse file":         {manifest.Tar, sparse},
		"a file that is said to be big": {manifest.Tar, func(w io.Writer) error {
			return tar.NewWriter(w).WriteHeader(&tar.Header{Name: "f", Typeflag: tar.TypeReg, Size: 1 << 60})
		}},
	} {
		t.Run(name, func(t *testing.T) {
			store := storetest.New(t)
			raw := pack(t, c.archive, c.bomb)
			m := &manifest.Manifest{Files: []manifest.File{{Archive: c.archive, Descriptor: put(t, store, raw)}}}
			out := t.TempDir()
			if err := export.Files(t.Context(), store, m, out, export.Options{}); !errors.Is(err, export.ErrUnsafe) {
				t.Errorf("Files = %v, want ErrUnsafe", err)
			}
			wantTree(t, out, map[string]string{})
		})
	}
}

// TestAWindowThatAsksForMemory: a zstd frame may ask its reader for gigabytes.
func TestAWindowThatAsksForMemory(t *testing.T) {
	store := storetest.New(t)
	frame := []byte{0x28, 0xb5, 0x2f, 0xfd, 0x00, 0xa8, 0x01, 0x00, 0x00} // window of 2 GiB, one empty last block
	m := &manifest.Manifest{Files: []manifest.File{{Archive: manifest.TarZstd, Descriptor: put(t, store, frame)}}}
	if err := export.Files(t.Context(), store, m, t.TempDir(), export.Options{}); !errors.Is(err, export.ErrUnsafe) {
		t.Errorf("Files = %v, want ErrUnsafe", err)
	}
}

func pack(t *testing.T, a manifest.Archive, fill func(w io.Writer) error) []byte {
	t.Helper()
	var buf bytes.Buffer
	var w io.WriteCloser
	var err error
	switch a {
	case manifest.TarGzip:
		w, err = gzip.NewWriterLevel(&buf, gzip.DefaultCompression)
	case manifest.TarZstd:
		w, err = zstd.NewWriter(&buf, zstd.WithEncoderLevel(zstd.SpeedFastest))
	default:
		w = nopCloser{&buf}
	}
	if err == nil {
		err = fill(w)
	}
	if err := errors.Join(err, w.Close()); err != nil {
		t.Fatal(err)
	}
	return buf.Bytes()
}

type nopCloser struct{ io.Writer }

func (nopCloser) Close() error { return nil }

// zeros is a tar of one file of n zeros.
func zeros(w io.Writer, n int64) error {
	tw := tar.NewWriter(w)
	if err := tw.WriteHeader(&tar.Header{Name: "zeros", Typeflag: tar.TypeReg, Size: n}); err != nil {
		return err
	}
	block := make([]byte, 1<<20)
	for range n >> 20 {
		if _, err := tw.Write(block); err != nil {
			return err
		}
	}
	return tw.Close()
}

// headers is a tar of n extended headers of nearly 1 MiB each that belong to no file.
func headers(w io.Writer, n int) error {
	const size = 1<<20 - 512
	record := strconv.Itoa(size) + " comment="
	body := record + strings.Repeat("x", size-len(record)-1) + "\n"
	var one bytes.Buffer
	tw := tar.NewWriter(&one)
	if err := tw.WriteHeader(&tar.Header{Name: "h", Typeflag: tar.TypeReg, Size: size}); err != nil {
		return err
	}
	header := one.Bytes()[:512]
	retype(header, tar.TypeXHeader)
	for range n {
		if _, err := w.Write(append(header[:512:512], body...)); err != nil {
			return err
		}
	}
	return nil
}

// sparse is a tar of a file of 1 TiB without a byte in it.
func sparse(w io.Writer) error {
	const one = "GNU.sparse.major=1\nGNU.sparse.minor=0\nGNU.sparse.name=hole\nGNU.sparse.realsize=1099511627776\n"
	var records strings.Builder
	for line := range strings.Lines(one) {
		n := len(line) + 3
		if n > 99 {
			n++
		}
		records.WriteString(strconv.Itoa(n) + " " + line)
	}
	var buf bytes.Buffer
	tw := tar.NewWriter(&buf)
	for _, part := range []struct {
		h    tar.Header
		body string
	}{
		{tar.Header{Name: "x", Typeflag: tar.TypeReg, Size: int64(records.Len())}, records.String()},
		{tar.Header{Name: "hole", Typeflag: tar.TypeReg, Size: 512}, "0\n" + strings.Repeat("\x00", 510)},
	} {
		if err := tw.WriteHeader(&part.h); err != nil {
			return err
		}
		if _, err := tw.Write([]byte(part.body)); err != nil {
			return err
		}
	}
	if err := tw.Close(); err != nil {
		return err
	}
	raw := buf.Bytes()
	retype(raw[:512], tar.TypeXHeader)
	_, err := w.Write(raw)
	return err
}

// retype makes a header one of another type.
func retype(header []byte, kind byte) {
	header[156] = kind
	copy(header[148:156], "        ")
	sum := 0
	for _, b := range header {
		sum += int(b)
	}
	copy(header[148:156], "0"+strconv.FormatInt(int64(sum), 8)+"\x00 ")
}
