//go:build unix

package quarantine_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/opencontainers/go-digest"

	"github.com/mstore/mstore/quarantine"
)

// TestAHostileWard plants in the ward's folder what somebody who can write there might, under names that are the
// ward's own.
func TestAHostileWard(t *testing.T) {
	outside := filepath.Join(t.TempDir(), "outside")
	refusal := `{"digest":"` + digest.FromString("y").String() + `","verdict":"refused"}`
	for name, c := range map[string]struct {
		plant    func(report string) error
		withheld bool
		listed   error
		heldTo   error
	}{
		"no report":        {func(string) error { return nil }, false, nil, nil},
		"a pipe":           {func(p string) error { return syscall.Mkfifo(p, 0o666) }, false, nil, nil},
		"a link":           {func(p string) error { return os.Symlink(outside, p) }, false, nil, nil},
		"a link to itself": {func(p string) error { return os.Symlink(p, p) }, false, nil, nil},
		"a folder":         {func(p string) error { return os.Mkdir(p, 0o700) }, false, nil, syscall.EISDIR},
		"garbage":          {write("garbage"), true, quarantine.ErrReport, nil},
		"empty":            {write(""), true, quarantine.ErrReport, nil},
		"of another":       {write(refusal), true, quarantine.ErrReport, nil},
		"of no kind":       {write(strings.ReplaceAll(refusal, "refused", "fine")), true, quarantine.ErrReport, nil},
		"endless":          {write(strings.Repeat(" ", 2<<20) + refusal), true, quarantine.ErrReport, nil},
	} {
		t.Run(name, func(t *testing.T) {
			w, dir := open(t)
			d := digest.FromString("x")
			held := filepath.Join(dir, "quarantine", d.Encoded())
			if err := errors.Join(os.Mkdir(held, 0o700), c.plant(filepath.Join(held, "report.json"))); err != nil {
				t.Fatal(err)
			}
			if got := w.Withheld(d); got != c.withheld {
				t.Errorf("Withheld = %v, want %v", got, c.withheld)
			}
			if got, err := w.List(); len(got) != 0 || !errors.Is(err, c.listed) {
				t.Errorf("List = %v, %v; want none and %v", got, err, c.listed)
			}
			err := w.Hold(t.Context(), file(t, dir, "x"), quarantine.Report{Verdict: quarantine.Refused})
			if c.heldTo != nil {
				if err == nil {
					t.Error("Hold replaced a folder")
				}
				return
			}
			if err != nil || !w.Withheld(d) {
				t.Errorf("Hold = %v, and then Withheld = %v", err, w.Withheld(d))
			}
			if _, err := os.Lstat(outside); !errors.Is(err, os.ErrNotExist) {
				t.Errorf("something was written outside: %v", err)
			}
		})
	}
}

// TestCorruptGivesWayToADamagedReport: the damaged one may have been a refusal.
func TestCorruptGivesWayToADamagedReport(t *testing.T) {
	for name, plant := range map[string]func(string) error{
		"garbage": write("garbage"),
		"a pipe":  func(p string) error { return syscall.Mkfifo(p, 0o666) },
	} {
		w, dir := open(t)
		d := digest.FromString("x")
		held := filepath.Join(dir, "quarantine", d.Encoded())
		if err := errors.Join(os.Mkdir(held, 0o700), plant(filepath.Join(held, "report.json"))); err != nil {
			t.Fatal(err)
		}
		if err := w.Hold(t.Context(), file(t, dir, "x"), quarantine.Report{Verdict: quarantine.Corrupt}); err != nil {
			t.Fatal(err)
		}
		if got, want := w.Withheld(d), name == "garbage"; got != want {
			t.Errorf("%s: Withheld = %v, want %v", name, got, want)
		}
	}
}

func TestForeignEntriesOfTheWard(t *testing.T) {
	w, dir := open(t)
	ward := filepath.Join(dir, "quarantine")
	linked := digest.FromString("linked")
	pipe := digest.FromString("pipe")
	refusal := `{"digest":"` + linked.String() + `","verdict":"refused"}` // where the link leads
	err := errors.Join(
		os.WriteFile(filepath.Join(dir, "report.json"), []byte(refusal), 0o600),
		os.Mkdir(filepath.Join(ward, "lost+found"), 0o700),
		os.WriteFile(filepath.Join(ward, "README"), nil, 0o600),
		os.WriteFile(filepath.Join(ward, strings.Repeat("0", 64)), nil, 0o600),
		syscall.Mkfifo(filepath.Join(ward, pipe.Encoded()), 0o666),
		os.Symlink(dir, filepath.Join(ward, linked.Encoded())),
	)
	if err != nil {
		t.Fatal(err)
	}
	wantReports(t, w)
	for _, d := range []digest.Digest{linked, pipe} {
		if w.Withheld(d) {
			t.Errorf("Withheld(%s)", d)
		}
	}
	path := file(t, dir, "linked")
	err = w.Hold(t.Context(), path, quarantine.Report{Verdict: quarantine.Refused})
	if !errors.Is(err, quarantine.ErrForeign) {
		t.Errorf("Hold through a link = %v, want ErrForeign", err)
	}
	wantNames(t, dir, "blob", "quarantine", "report.json")
}

func write(content string) func(path string) error {
	return func(path string) error { return os.WriteFile(path, []byte(content), 0o600) }
}
