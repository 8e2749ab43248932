package quarantine_test

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/opencontainers/go-digest"

	"github.com/mstore/mstore/quarantine"
)

var when = time.Date(2026, 2, 3, 4, 5, 6, 0, time.UTC)

func TestHold(t *testing.T) {
	w, dir := open(t)
	path := file(t, dir, "evil bytes")
	want := quarantine.Report{
		Digest: digest.FromString("evil bytes"), Name: "org/model", Source: "hf://org/model", Time: when,
		Verdict: quarantine.Refused, Reason: "a pickle that calls os.system",
	}
	given := want
	given.Digest = digest.FromString("what the caller thought")
	if err := w.Hold(t.Context(), path, given); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Lstat(path); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the file is where it was: %v", err)
	}
	held := filepath.Join(dir, "quarantine", want.Digest.Encoded())
	if got, err := os.ReadFile(filepath.Join(held, "data")); err != nil || string(got) != "evil bytes" {
		t.Errorf("the ward holds %q, %v", got, err)
	}
	if !w.Withheld(want.Digest) || w.Withheld(given.Digest) {
		t.Error("the digest that the bytes have is not the one that is withheld")
	}
	wantReports(t, w, want)
	wantNames(t, held, "data", "report.json")
}

func TestHoldSaysNowWhenNobodySaysWhen(t *testing.T) {
	w, dir := open(t)
	if err := w.Hold(t.Context(), file(t, dir, "x"), quarantine.Report{Verdict: quarantine.Refused}); err != nil {
		t.Fatal(err)
	}
	reports, err := w.List()
	if err != nil || len(reports) != 1 || reports[0].Time.Before(when) {
		t.Errorf("List = %+v, %v", reports, err)
	}
}

func TestCorruptBytesDoNotPoisonTheDigestTheyHave(t *testing.T) {
	w, dir := open(t)
	good := "the bytes of another, good model"
	report := quarantine.Report{Wanted: digest.FromString("wanted"), Verdict: quarantine.Corrupt, Time: when}
	if err := w.Hold(t.Context(), file(t, dir, good), report); err != nil {
		t.Fatal(err)
	}
	if w.Withheld(digest.FromString(good)) || w.Withheld(report.Wanted) {
		t.Error("a corrupt blob withholds a digest")
	}
	report.Digest = digest.FromString(good)
	wantReports(t, w, report)
}

func TestTheSecondReport(t *testing.T) {
	refused := quarantine.Report{Verdict: quarantine.Refused, Time: when, Reason: "first"}
	corrupt := quarantine.Report{Verdict: quarantine.Corrupt, Time: when, Reason: "first"}
	second := func(r quarantine.Report) quarantine.Report { r.Reason = "second"; return r }
	for name, c := range map[string]struct{ first, then, want quarantine.Report }{
		"refused again":        {refused, second(refused), second(refused)},
		"corrupt then refused": {corrupt, second(refused), second(refused)},
		"refused then corrupt": {refused, second(corrupt), refused},
		"corrupt again":        {corrupt, second(corrupt), corrupt},
	} {
		t.Run(name, func(t *testing.T) {
			w, dir := open(t)
			for _, r := range []quarantine.Report{c.first, c.then} {
				if err := w.Hold(t.Context(), file(t, dir, "x"), r); err != nil {
					t.Fatal(err)
				}
			}
			c.want.Digest = digest.FromString("x")
			wantReports(t, w, c.want)
			wantNames(t, filepath.Join(dir, "quarantine", c.want.Digest.Encoded()), "data", "report.json")
		})
	}
}

func TestHoldFailsAndMovesNothing(t *testing.T) {
	done, cancel := context.WithCancel(t.Context())
	cancel()
	w, dir := open(t)
	path := file(t, dir, "x")
	link := filepath.Join(dir, "link")
	if err := os.Symlink(path, link); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		ctx     context.Context
		path    string
		verdict quarantine.Verdict
		want    error
	}{
		"no file":     {t.Context(), filepath.Join(dir, "none"), quarantine.Refused, fs.ErrNotExist},
		"a folder":    {t.Context(), dir, quarantine.Refused, quarantine.ErrForeign},
		"a link":      {t.Context(), link, quarantine.Refused, quarantine.ErrForeign},
		"no verdict":  {t.Context(), path, "", quarantine.ErrReport},
		"interrupted": {done, path, quarantine.Refused, context.Canceled},
	} {
		if err := w.Hold(c.ctx, c.path, quarantine.Report{Verdict: c.verdict}); !errors.Is(err, c.want) {
			t.Errorf("%s: Hold = %v, want %v", name, err, c.want)
		}
	}
	if got, err := os.ReadFile(path); err != nil || string(got) != "x" {
		t.Errorf("the file is gone: %q, %v", got, err)
	}
	wantReports(t, w)
}

func TestTheReportComesBeforeTheMove(t *testing.T) {
	w, dir := open(t)
	path, d := file(t, dir, "x"), digest.FromString("x")
	inTheWay := filepath.Join(dir, "quarantine", d.Encoded(), "data")
	if err := os.MkdirAll(inTheWay, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := w.Hold(t.Context(), path, quarantine.Report{Verdict: quarantine.Refused}); err == nil {
		t.Fatal("the file was moved over a folder")
	}
	if !w.Withheld(d) {
		t.Error("a digest whose file could not be moved is not withheld")
	}
	if err := os.Remove(inTheWay); err != nil {
		t.Fatal(err)
	}
	if err := w.Hold(t.Context(), path, quarantine.Report{Verdict: quarantine.Refused}); err != nil {
		t.Errorf("Hold again = %v", err)
	}
}

func TestARefusalIsNotLostToACorruptReportBesideIt(t *testing.T) {
	for range 50 {
		w, dir := open(t)
		var both sync.WaitGroup
		for i, verdict := range []quarantine.Verdict{quarantine.Corrupt, quarantine.Refused, quarantine.Corrupt} {
			sub := filepath.Join(dir, strconv.Itoa(i))
			if err := os.Mkdir(sub, 0o700); err != nil {
				t.Fatal(err)
			}
			path := file(t, sub, "x")
			both.Go(func() {
				if err := w.Hold(t.Context(), path, quarantine.Report{Verdict: verdict}); err != nil {
					t.Error(err)
				}
			})
		}
		both.Wait()
		if !w.Withheld(digest.FromString("x")) {
			t.Fatal("the refusal was lost")
		}
	}
}

func TestHoldCutsWhatIsTooLong(t *testing.T) {
	w, dir := open(t)
	for _, char := range []string{"é", "\x00", "\xff", "<"} {
		long := strings.Repeat(char, 1<<20)
		r := quarantine.Report{Verdict: quarantine.Refused, Time: when, Name: long, Source: long, Reason: long}
		if err := w.Hold(t.Context(), file(t, dir, char), r); err != nil {
			t.Fatal(err)
		}
	}
	if reports, err := w.List(); err != nil || len(reports) != 4 {
		t.Errorf("List = %d reports, %v", len(reports), err)
	}
}

func TestWithheldOfWhatIsNoDigest(t *testing.T) {
	w, _ := open(t)
	for _, d := range []digest.Digest{"", "sha256:", "sha256:../../etc", digest.FromString("never held")} {
		if w.Withheld(d) {
			t.Errorf("Withheld(%q)", d)
		}
	}
}

func open(t *testing.T) (*quarantine.Ward, string) {
	t.Helper()
	dir := t.TempDir()
	w, err := quarantine.Open(filepath.Join(dir, "quarantine"))
	if err != nil {
		t.Fatal(err)
	}
	return w, dir
}

// file is a file outside the ward, as an ingest or a blob would be.
func file(t *testing.T, dir, content string) string {
	t.Helper()
	path := filepath.Join(dir, "blob")
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func wantReports(t *testing.T, w *quarantine.Ward, want ...quarantine.Report) {
	t.Helper()
	got, err := w.List()
	if err != nil {
		t.Error(err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("reports (-want +got):\n%s", diff)
	}
}

func wantNames(t *testing.T, dir string, want ...string) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, e := range entries {
		got = append(got, e.Name())
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("%s (-want +got):\n%s", dir, diff)
	}
}
