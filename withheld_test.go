package mstore_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/mstore/mstore"
	"github.com/mstore/mstore/quarantine"
)

// TestWhatIsWithheld refuses a file that was judged before: whatever way it comes in by, and where it is in already.
func TestWhatIsWithheld(t *testing.T) {
	evil := content(1000, 66)
	f := newFake(t)
	d := f.model(t, "evil", evil).Digest
	s := openStore(t, filepath.Join(t.TempDir(), "store")) // a check would find that a model lacks what is withheld
	pull(t, s, f.Host+"/m:evil", mstore.PullOptions{As: "before", Retries: -1})
	other := newStore(t)
	for _, s := range []*mstore.Store{s, other} {
		ward, err := quarantine.Open(filepath.Join(s.Dir(), "quarantine"))
		try(t, err)
		held := filepath.Join(s.Dir(), "quarantine", "incoming")
		try(t, os.WriteFile(held, evil, 0o600), ward.Hold(t.Context(), held, quarantine.Report{Verdict: quarantine.Refused, Reason: "evil"}))
		changesNothing(t, "Import", s, mstore.ErrQuarantined, func() error {
			_, err := s.Import(t.Context(), []string{folder(t, map[string]string{"a": string(evil)})}, "m", mstore.ImportOptions{})
			return err
		})
		before := look(t, s).Tags
		_, err = s.Pull(t.Context(), f.Host+"/m:evil", once)
		wantFailure(t, "Pull", err, mstore.ErrQuarantined)
		if mstore.Hint(err) == "" || len(look(t, s).Tags) != len(before) {
			t.Errorf("hint %q, tags %v", mstore.Hint(err), look(t, s).Tags)
		}
		if got := f.tries(d); got != 1 {
			t.Errorf("what is withheld was fetched: %d times", got)
		}
	}
	for verb, do := range verbs(t, s, "before") {
		switch verb {
		case "Path", "Use", "Export", "Push", "Tag":
			wantFailure(t, verb, do(), mstore.ErrQuarantined)
		}
	}
	load(t, other, small(t, 1), "good")
}

// TestADamagedStoreSaysSo asks for a model of which a blob was changed in a way that only reading it tells.
func TestADamagedStoreSaysSo(t *testing.T) {
	ref := repo(t) + ":v1"
	s, m := damaged(t)
	weights := fileOf(t, m.Model, "model.safetensors").Digest
	flip(t, blobPath(s, weights), 100, 1)
	_, err := s.Push(t.Context(), "m", ref, mstore.PushOptions{Retries: -1})
	wantFailure(t, "Push", err, mstore.ErrVerification)
	_, err = newStore(t).Pull(t.Context(), ref, once)
	wantFailure(t, "Pull of what was not pushed", err, mstore.ErrNotFound)
	try(t, os.Chmod(blobPath(s, weights), 0o600)) // a changed mode makes a cheap look a full one
	_, err = s.Use(t.Context(), "m")
	wantFailure(t, "Use", err, mstore.ErrVerification)
}
