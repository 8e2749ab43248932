package export_test

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"testing"

	"github.com/klauspost/compress/zstd"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/mstore/mstore/blobstore"
	"github.com/mstore/mstore/manifest"
)

// entry is one entry of a test's archive.
type entry struct {
	name string
	kind byte // 0: a regular file
	link string
	mode int64
	body string
	pax  map[string]string
}

func dir(name string) entry             { return entry{name: name, kind: tar.TypeDir, mode: 0o755} }
func file(name, body string) entry      { return entry{name: name, body: body, mode: 0o644} }
func symlink(name, to string) entry     { return entry{name: name, kind: tar.TypeSymlink, link: to} }
func hardlink(name, to string) entry    { return entry{name: name, kind: tar.TypeLink, link: to} }
func special(name string, k byte) entry { return entry{name: name, kind: k, mode: 0o666} }

func tarOf(tb testing.TB, entries ...entry) []byte {
	tb.Helper()
	var buf bytes.Buffer
	w := tar.NewWriter(&buf)
	for _, e := range entries {
		h := &tar.Header{
			Name: e.name, Typeflag: e.kind, Linkname: e.link, Mode: e.mode, Size: int64(len(e.body)), PAXRecords: e.pax,
		}
		if e.kind == 0 {
			h.Typeflag = tar.TypeReg
		}
		if e.kind == tar.TypeXGlobalHeader {
			h = &tar.Header{Name: e.name, Typeflag: e.kind, PAXRecords: e.pax}
		}
		if err := w.WriteHeader(h); err != nil {
			tb.Fatal(err)
		}
		if _, err := w.Write([]byte(e.body)); err != nil {
			tb.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		tb.Fatal(err)
	}
	return buf.Bytes()
}

func gzipped(tb testing.TB, raw []byte) []byte {
	tb.Helper()
	var buf bytes.Buffer
	w := gzip.NewWriter(&buf)
	if _, err := w.Write(raw); err != nil {
		tb.Fatal(err)
	}
	if err := w.Close(); err != nil {
		tb.Fatal(err)
	}
	return buf.Bytes()
}

func zstded(tb testing.TB, raw []byte) []byte {
	tb.Helper()
	w, err := zstd.NewWriter(nil)
	if err != nil {
		tb.Fatal(err)
	}
	defer w.Close()
	return w.EncodeAll(raw, nil)
}

// archived is a model of archives, all tar.
func archived(tb testing.TB, s *blobstore.Store, kind manifest.Kind, archives ...[]byte) *manifest.Manifest {
	tb.Helper()
	m := &manifest.Manifest{Kind: kind}
	var all []byte
	for _, a := range archives {
		m.Files = append(m.Files, manifest.File{Archive: manifest.Tar, Descriptor: put(tb, s, a)})
		all = append(all, digest.FromBytes(a)...)
	}
	m.Descriptor = ocispec.Descriptor{Digest: digest.FromBytes(all)}
	return m
}
