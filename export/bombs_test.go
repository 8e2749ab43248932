package export_test

import (
	"archive/tar"
	"bytes"
	"errors"
	"strconv"
	"strings"
	"testing"

	"github.com/mstore/mstore/blobstore/storetest"
	"github.com/mstore/mstore/export"
	"github.com/mstore/mstore/manifest"
)

// bomb is an archive that is made of a head, and of a body that comes many times.
type bomb struct {
	head, body []byte
	times      int
}

func TestBombs(t *testing.T) {
	for name, c := range map[string]struct {
		bomb     bomb
		archives []manifest.Archive
		says     string
	}{
		"a big file":       {zeros(t, 400), []manifest.Archive{manifest.TarGzip, manifest.TarZstd}, "too many bytes"},
		"many entries":     {entries(t), []manifest.Archive{manifest.TarZstd}, "entries"},
		"endless headers":  {headers(t), []manifest.Archive{manifest.TarZstd}, "too many bytes"},
		"a sparse file":    {sparse(t), []manifest.Archive{manifest.Tar}, "too many bytes"},
		"a size that lies": {bomb{head: header(t, tar.Header{Name: "f", Typeflag: tar.TypeReg, Size: 1 << 60})}, []manifest.Archive{manifest.Tar}, "too many bytes"},
	} {
		for _, archive := range c.archives {
			t.Run(name+", "+string(archive), func(t *testing.T) {
				store := storetest.New(t)
				m := &manifest.Manifest{Files: []manifest.File{{Archive: archive, Descriptor: put(t, store, c.bomb.pack(t, archive))}}}
				out := t.TempDir()
				if err := export.Files(t.Context(), store, m, out, export.Options{}); !errors.Is(err, export.ErrUnsafe) || !strings.Contains(err.Error(), c.says) {
					t.Errorf("Files = %v, want ErrUnsafe that says %q", err, c.says)
				}
				wantTree(t, out, map[string]string{})
			})
		}
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

// pack compresses head and body once each: both formats are read on where one stream of them ends.
func (b bomb) pack(t *testing.T, a manifest.Archive) []byte {
	t.Helper()
	squeeze := func(raw []byte) []byte { return raw }
	switch a {
	case manifest.TarGzip:
		squeeze = func(raw []byte) []byte { return gzipped(t, raw) }
	case manifest.TarZstd:
		squeeze = func(raw []byte) []byte { return zstded(t, raw) }
	}
	return append(squeeze(b.head), bytes.Repeat(squeeze(b.body), b.times)...)
}

// header is the header of one entry, and what comes before it.
func header(t *testing.T, h tar.Header) []byte {
	t.Helper()
	var buf bytes.Buffer
	if err := tar.NewWriter(&buf).WriteHeader(&h); err != nil {
		t.Fatal(err)
	}
	return buf.Bytes()
}

// zeros is a file of n MiB of zeros.
func zeros(t *testing.T, n int) bomb {
	t.Helper()
	return bomb{header(t, tar.Header{Name: "zeros", Typeflag: tar.TypeReg, Size: int64(n) << 20}), make([]byte, 1<<20), n}
}

// entries is 100,100 entries that say nothing.
func entries(t *testing.T) bomb {
	t.Helper()
	one := header(t, tar.Header{Typeflag: tar.TypeXGlobalHeader, Name: "g", PAXRecords: map[string]string{"a": "b"}})
	return bomb{nil, bytes.Repeat(one, 1001), 100}
}

// headers is 600 extended headers of nearly 1 MiB each that belong to no file.
func headers(t *testing.T) bomb {
	t.Helper()
	const size = 1<<20 - 512
	record := strconv.Itoa(size) + " comment="
	body := record + strings.Repeat("x", size-len(record)-1) + "\n"
	head := header(t, tar.Header{Name: "h", Typeflag: tar.TypeReg, Size: size})
	retype(head, tar.TypeXHeader)
	return bomb{nil, append(head, body...), 600}
}

// sparse is a file of 1 TiB without a byte in it.
func sparse(t *testing.T) bomb {
	t.Helper()
	const one = "GNU.sparse.major=1\nGNU.sparse.minor=0\nGNU.sparse.name=hole\nGNU.sparse.realsize=1099511627776\n"
	var records strings.Builder
	for line := range strings.Lines(one) {
		records.WriteString(strconv.Itoa(len(line)+3) + " " + line)
	}
	raw := tarOf(t, file("x", records.String()), file("hole", "0\n"+strings.Repeat("\x00", 510)))
	retype(raw[:512], tar.TypeXHeader)
	return bomb{head: raw}
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
