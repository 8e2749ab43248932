package mstore_test

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"

	"github.com/mstore/mstore"
)

func repair(t *testing.T, s *mstore.Store, names ...string) (*mstore.VerifyReport, error) {
	t.Helper()
	report, err := s.Verify(t.Context(), mstore.VerifyOptions{Names: names, Repair: true})
	if report == nil {
		t.Fatal(err)
	}
	return report, err
}

// wantRepaired wants n bad things, all of them right again.
func wantRepaired(t *testing.T, s *mstore.Store, n int, names ...string) {
	t.Helper()
	report, err := repair(t, s, names...)
	if err != nil || len(report.Bad) != n || report.Repaired != n {
		t.Errorf("repaired %d of %+v, %v; want %d", report.Repaired, report.Bad, err, n)
	}
	for _, b := range report.Bad {
		if !b.Repaired || b.Problem == "" || strings.ContainsRune(b.Problem, '\n') {
			t.Errorf("bad is %+v", b)
		}
	}
}

func TestRepairFromWhereItCame(t *testing.T) {
	dir := small(t, 1)
	ref := repo(t) + ":v1"
	publish(t, dir, ref)
	layout := newStore(t)
	load(t, layout, dir, "m:v1")
	for name, from := range map[string]string{
		"registry": ref, "folder": "file:" + dir, "layout": "oci-layout:" + layout.Dir() + ":m:v1",
	} {
		t.Run(name, func(t *testing.T) {
			s := newStore(t)
			m := pull(t, s, from, mstore.PullOptions{As: "m"})
			weights, config := fileOf(t, m.Model, "model.safetensors").Digest, fileOf(t, m.Model, "config.json").Digest
			flip(t, blobPath(s, weights), 1000, 3)
			damage, err := os.ReadFile(blobPath(s, weights))
			try(t, err)
			lose(t, s, config)
			wantRepaired(t, s, 2)
			wantExport(t, s, "m", dir)
			wantQuarantined(t, s, damage)
			flip(t, blobPath(s, m.Digest), 5, 0)
			wantRepaired(t, s, 1, "m")
			wantExport(t, s, "m", dir)
		})
	}
}

// wantQuarantined wants the damaged bytes in quarantine under the digest that they have, which is not withheld.
func wantQuarantined(t *testing.T, s *mstore.Store, damage []byte) {
	t.Helper()
	d := digest.FromBytes(damage)
	got, err := os.ReadFile(filepath.Join(s.Dir(), "quarantine", d.Encoded(), "data"))
	if err != nil || !bytes.Equal(got, damage) {
		t.Errorf("quarantine has %d bytes of %s, %v; want %d", len(got), d, err, len(damage))
	}
	dir := folder(t, map[string]string{"same": string(damage)})
	if p := load(t, s, dir, "damage"); fileOf(t, p.Model, "same").Digest != d {
		t.Errorf("the damaged bytes cannot be imported: %+v", p)
	}
}

// TestRepairOfAManifestAndItsBlobs damages a manifest, and blobs that nothing else needs: what is needed can only be
// known when the manifest is right again.
func TestRepairOfAManifestAndItsBlobs(t *testing.T) {
	dir, ref := small(t, 1), repo(t)+":v1"
	publish(t, dir, ref)
	for name, names := range map[string][]string{"all": nil, "by name": {ref}} {
		for _, how := range []string{"flipped", "lost"} {
			t.Run(name+", "+how, func(t *testing.T) {
				s := newStore(t)
				m := pull(t, s, ref, mstore.PullOptions{})
				for _, d := range blobsOf(t, s) {
					if how == "lost" && d == m.Digest {
						lose(t, s, d)
						continue
					}
					flip(t, blobPath(s, d), 1, 1)
				}
				report, err := repair(t, s, names...)
				if err != nil || report.Repaired != len(report.Bad) || report.Repaired != len(blobsOf(t, s)) {
					t.Errorf("repaired %d of %+v, %v", report.Repaired, report.Bad, err)
				}
				for _, b := range report.Bad {
					if len(b.Names) == 0 {
						t.Errorf("nothing is said to need %+v", b)
					}
				}
				wantExport(t, s, ref, dir)
			})
		}
	}
}

func TestRepairWithoutASource(t *testing.T) {
	dir, ref := small(t, 1), repo(t)+":v1"
	publish(t, dir, ref)
	moved, changed := small(t, 1), small(t, 1)
	several := func(s *mstore.Store) error {
		_, err := s.Import(t.Context(), []string{dir + "/model.safetensors", dir + "/config.json"}, "m", mstore.ImportOptions{})
		return err
	}
	for name, c := range map[string]struct {
		bring func(s *mstore.Store) error
		spoil func() error
		why   string
	}{
		"offline":          {func(s *mstore.Store) error { pull(t, s, ref, mstore.PullOptions{As: "m"}); return nil }, nil, "offline"},
		"of several paths": {several, nil, "nothing is known of where"},
		"the folder moved": {func(s *mstore.Store) error { load(t, s, moved, "m"); return nil }, func() error { return os.RemoveAll(moved) }, "no such file"},
		"the folder changed": {
			func(s *mstore.Store) error { load(t, s, changed, "m"); return nil },
			func() error { return os.WriteFile(changed+"/model.safetensors", []byte("{}"), 0o600) }, "another digest",
		},
	} {
		t.Run(name, func(t *testing.T) {
			root := filepath.Join(t.TempDir(), "store")
			try(t, c.bring(openStore(t, root)))
			s := openStore(t, root, func(o *mstore.Options) { o.Offline = true })
			m, err := s.Show(t.Context(), "m")
			try(t, err)
			weights := fileOf(t, *m, "model.safetensors").Digest
			flip(t, blobPath(s, weights), 1000, 3)
			if c.spoil != nil {
				try(t, c.spoil())
			}
			report, err := repair(t, s)
			wantFailure(t, "Verify", err, mstore.ErrVerification)
			if len(report.Bad) != 1 || report.Bad[0].Repaired || report.Repaired != 0 || !strings.Contains(report.Bad[0].Problem, c.why) {
				t.Errorf("Verify = %+v, want a problem with %q", report, c.why)
			}
			wantFound(t, s, weights) // it is missing now
			_, err = s.Export(t.Context(), "m", t.TempDir(), mstore.ExportOptions{})
			wantFailure(t, "Export", err, mstore.ErrVerification)
		})
	}
}

// TestWhatNobodyNeedsIsNotTakenForRepaired: as long as a manifest cannot be read, nobody knows what is needed.
func TestWhatNobodyNeedsIsNotTakenForRepaired(t *testing.T) {
	root := filepath.Join(t.TempDir(), "store")
	online := openStore(t, root)
	ref := repo(t) + ":v1"
	publish(t, small(t, 1), ref)
	m := pull(t, online, ref, mstore.PullOptions{})
	weights := fileOf(t, m.Model, "model.safetensors").Digest
	flip(t, blobPath(online, weights), 1, 1)
	flip(t, blobPath(online, m.Digest), 1, 1)
	offline := openStore(t, root, func(o *mstore.Options) { o.Offline = true })
	report, err := repair(t, offline)
	if err == nil || report.Repaired != 0 || len(report.Bad) != 2 {
		t.Errorf("offline, Verify = %+v, %v", report, err)
	}
	_, err = repair(t, online)
	try(t, err)
	wantExport(t, online, ref, small(t, 1))

	orphan := load(t, online, folder(t, map[string]string{"a": "orphan"}), "orphan")
	_, err = online.Remove(t.Context(), "orphan")
	try(t, err)
	flip(t, blobPath(online, fileOf(t, orphan.Model, "a").Digest), 0, 0)
	wantRepaired(t, online, 1)
	checkStore(t, root)
}

// TestRepairCleansUpAfterAKilledProcess: what a model needs is put back, and the rest goes.
func TestRepairCleansUpAfterAKilledProcess(t *testing.T) {
	root := filepath.Join(t.TempDir(), "store")
	s, dir := openStore(t, root), small(t, 1)
	load(t, s, dir, "m")
	load(t, s, folder(t, map[string]string{"a": "orphan"}), "orphan")
	_, err := s.Remove(t.Context(), "orphan")
	try(t, err)
	if err := start(t, "abandon", roleArgs{Dir: root}).wait(nil); err == nil {
		t.Fatal("the process was not killed")
	}
	want := int64(len("orphan") + 5000)
	report, err := repair(t, s)
	if err != nil || len(report.Bad) != 0 || report.FreedBytes < want || report.FreedBytes > want+2000 { // a manifest and a config
		t.Errorf("Verify = %+v, %v; want a little over %d bytes to be free", report, err, want)
	}
	wantExport(t, s, "m", dir)
	checkStore(t, root)
	for _, left := range []string{"leases", "ingest", "trash"} {
		if entries, err := os.ReadDir(filepath.Join(root, left)); err != nil || len(entries) != 0 {
			t.Errorf("%s has %v, %v", left, entries, err)
		}
	}
	if report, err := repair(t, s); err != nil || report.FreedBytes != 0 {
		t.Errorf("again, Verify = %+v, %v", report, err)
	}
}
