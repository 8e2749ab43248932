package mstore_test

import (
	"archive/tar"
	"compress/gzip"
	"errors"
	"io"
	"os"
	"path/filepath"
	"testing"

	"github.com/opencontainers/go-digest"

	"github.com/mstore/mstore"
	"github.com/mstore/mstore/blobstore"
)

// The stores in testdata/stores were each written by a version of mstore, with all that a store may hold: two models
// that share files, one of them pinned, what a removed one leaves, a blob that a killed sweep moved aside, the first
// half of a blob that is to come, a damaged file in quarantine. To keep the store of a version before it is released:
//
//	MSTORE_KEEP_STORE=testdata/stores/<version>.tar.gz go test -run TestStoreOfToday .
const keepStore = "MSTORE_KEEP_STORE"

// coming is the file of which old stores have the first half.
func coming() []byte { return content(64<<10, 77) }

func oldModel(seed byte) map[string]string {
	return map[string]string{
		"model.safetensors": string(content(20<<10, seed)), "config.json": `{"model_type":"none"}`, "sub/vocab.txt": "a\nb\n",
	}
}

// fill gives a store all that one may hold.
func fill(t *testing.T, root string) {
	t.Helper()
	s := openStore(t, root)
	for name, seed := range map[string]byte{"org/One:v1": 1, "two:latest": 2, "three:v3": 3, "four:v4": 4} {
		load(t, s, folder(t, oldModel(seed)), name)
	}
	try(t, s.Pin(t.Context(), "org/One:v1"))
	damaged, err := s.Show(t.Context(), "four:v4")
	try(t, err)
	flip(t, blobPath(s, fileOf(t, *damaged, "model.safetensors").Digest), 9, 1)
	_, err = s.Verify(t.Context(), mstore.VerifyOptions{Repair: true, Names: []string{"four:v4"}})
	try(t, err)
	for _, name := range []string{"three:v3", "four:v4"} {
		_, err := s.Remove(t.Context(), name)
		try(t, err)
	}
	aside, err := s.Show(t.Context(), "two:latest")
	try(t, err)
	_, err = s.Blobs().Trash(fileOf(t, *aside, "model.safetensors").Digest)
	try(t, err)
	lease, err := s.Blobs().Lease()
	try(t, err)
	half := coming()
	in, err := lease.Ingest(t.Context(), blobstore.Want{Digest: digest.FromBytes(half), Size: int64(len(half))})
	try(t, err)
	_, err = in.WriteAt(half[:len(half)/2], 0)
	try(t, err, in.Close(), lease.Release())
}

// wantUpgraded wants a store to be of full use: nothing is lost, and what was begun is gone on with.
func wantUpgraded(t *testing.T, root string) {
	t.Helper()
	s := openStore(t, root)
	all, err := s.List(t.Context())
	try(t, err)
	if len(all) != 2 || all[0].Name != "org/One:v1" || !all[0].Pinned || all[1].Name != "two:latest" || all[1].Pinned {
		t.Fatalf("the store has %+v", all)
	}
	wantExport(t, s, "org/One:v1", folder(t, oldModel(1)))
	wantExport(t, s, "two:latest", folder(t, oldModel(2)))

	ref := repo(t) + ":v1"
	publish(t, folder(t, map[string]string{"model.safetensors": string(coming())}), ref)
	if p := pull(t, s, ref, mstore.PullOptions{As: "coming"}); p.BytesReused < int64(len(coming()))/2 {
		t.Errorf("%d bytes were reused of a file of which half was there", p.BytesReused)
	}
	_, err = s.Push(t.Context(), "two", repo(t, "two")+":v1", mstore.PushOptions{})
	try(t, err)
	report, err := repair(t, s)
	if err != nil || len(report.Bad) > 0 {
		t.Errorf("Verify = %+v, %v", report, err)
	}
	removed, err := s.GC(t.Context(), mstore.GCOptions{All: true})
	try(t, err)
	if len(removed.Dropped) != 2 || len(removed.Removed) == 0 {
		t.Errorf("GC = %+v", removed)
	}
	wantExport(t, s, "org/One:v1", folder(t, oldModel(1)))
	checkStore(t, root)
}

func TestStoreOfToday(t *testing.T) {
	root := filepath.Join(t.TempDir(), "store")
	fill(t, root)
	if path := os.Getenv(keepStore); path != "" {
		try(t, pack(path, root))
	}
	wantUpgraded(t, root)
}

func TestStoresOfOtherVersions(t *testing.T) {
	all, err := filepath.Glob("testdata/stores/*.tar.gz")
	if err != nil || len(all) == 0 {
		t.Fatalf("no stores: %v", err)
	}
	for _, path := range all {
		t.Run(filepath.Base(path), func(t *testing.T) {
			root := filepath.Join(t.TempDir(), "store")
			try(t, unpack(path, root))
			wantUpgraded(t, root)
		})
	}
}

// pack writes the folder root, with modes and times, to a compressed tar.
func pack(path, root string) (err error) {
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	zip := gzip.NewWriter(f)
	w := tar.NewWriter(zip)
	err = w.AddFS(os.DirFS(root))
	return errors.Join(err, w.Close(), zip.Close(), f.Close())
}

// unpack makes the folder root of what pack wrote.
func unpack(path, root string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer func() { _ = f.Close() }()
	zip, err := gzip.NewReader(f)
	if err != nil {
		return err
	}
	for r := tar.NewReader(zip); ; {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err == nil {
			err = unpackOne(r, h, filepath.Join(root, filepath.FromSlash(h.Name)))
		}
		if err != nil {
			return err
		}
	}
}

func unpackOne(r io.Reader, h *tar.Header, path string) error {
	mode := h.FileInfo().Mode()
	if mode.IsDir() {
		return os.MkdirAll(path, mode.Perm())
	}
	raw, err := io.ReadAll(r)
	if err != nil {
		return err
	}
	err = errors.Join(os.MkdirAll(filepath.Dir(path), 0o755), os.WriteFile(path, raw, mode.Perm()))
	return errors.Join(err, os.Chtimes(path, h.ModTime, h.ModTime))
}
