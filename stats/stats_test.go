package stats_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/mstore/mstore/stats"
)

const most = 20_000 // bytes of a file in these tests

// TestMain is also a process that adds acts, as many as it is told, to the record of a folder.
func TestMain(m *testing.M) {
	if dir := os.Getenv("STATS_TEST_DIR"); dir != "" {
		n, _ := strconv.Atoi(os.Getenv("STATS_TEST_ACTS"))
		for range n {
			if err := open(dir).Add(pull(1)); err != nil {
				fmt.Fprintln(os.Stderr, err)
				os.Exit(1)
			}
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

func open(dir string) *stats.Log {
	return stats.Bounded(filepath.Join(dir, "stats"), filepath.Join(dir, "lock"), most)
}

func pull(fetched int64) stats.Act {
	return stats.Act{Time: time.Now(), Kind: stats.Pull, Name: "m:v1", Outcome: stats.OK, Fetched: fetched, Seconds: 1}
}

func try(t *testing.T, errs ...error) {
	t.Helper()
	for _, err := range errs {
		if err != nil {
			t.Fatal(err)
		}
	}
}

func sum(t *testing.T, l *stats.Log) stats.Sum {
	t.Helper()
	s, err := l.Sum(time.Time{})
	try(t, err)
	return s
}

func TestSum(t *testing.T) {
	l := open(t.TempDir())
	if s := sum(t, l); !s.From.IsZero() || s.Speed() != 0 || s.HitRate() != 0 {
		t.Errorf("the sum of nothing is %+v", s)
	}
	start := time.Now()
	old := stats.Act{Time: start.Add(-time.Hour), Kind: stats.Pull, Outcome: "network", Retries: 5}
	for _, a := range []stats.Act{
		old,
		{Time: start, Kind: stats.Pull, Outcome: stats.OK, Fetched: 600, Reused: 200, Seconds: 2, Retries: 1},
		{Time: start, Kind: stats.Pull, Outcome: stats.OK, Cached: true, Reused: 400, Seconds: 9},
		{Time: start, Kind: stats.Push, Outcome: "authentication"},
		{Time: start, Kind: stats.Push, Outcome: stats.OK, Fetched: 70},
		{Time: start, Kind: stats.Import, Outcome: stats.OK, Fetched: 1000},
		{Time: start, Kind: stats.Sweep, Outcome: stats.OK, Removed: 3, Freed: 300},
	} {
		try(t, l.Add(a))
	}
	got := sum(t, l)
	want := stats.Sum{
		From: old.Time, Pulls: map[string]int64{"ok": 2, "network": 1}, Pushes: map[string]int64{"ok": 1, "authentication": 1},
		Imports: map[string]int64{"ok": 1}, Sweeps: map[string]int64{"ok": 1}, Cached: 1, Fetched: 600, Reused: 600, Pushed: 70,
		Fetching: 2, Retries: 6, Removed: 3, Freed: 300,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if got.Speed() != 300 || got.HitRate() != 0.5 {
		t.Errorf("speed %v, hit rate %v", got.Speed(), got.HitRate())
	}
	lately, err := l.Sum(start)
	try(t, err)
	if lately.Pulls["network"] != 0 || lately.Pulls["ok"] != 2 || !lately.From.Equal(start) {
		t.Errorf("since %v: %+v", start, lately)
	}
}

// TestTheTotalsNeverFall: over many files, and for who reads while they change; and the files stay small.
func TestTheTotalsNeverFall(t *testing.T) {
	const writers, each = 4, 600
	dir := t.TempDir()
	l, done := open(dir), make(chan struct{})
	var all sync.WaitGroup
	for range writers {
		all.Go(func() {
			for range each {
				if err := l.Add(pull(10)); err != nil {
					t.Error(err)
				}
			}
		})
	}
	go func() { all.Wait(); close(done) }()
	before := int64(0)
	for running := true; running; {
		select {
		case <-done:
			running = false
		default:
		}
		now := sum(t, l).Pulls[stats.OK]
		if now < before {
			t.Fatalf("%d pulls after %d", now, before)
		}
		before = now
	}
	// A writer that rests between opening a file and writing to it, for as long as two files take to fill, loses its act.
	// Files are fifty times as large as here.
	const lost = 10
	if s := sum(t, l); s.Pulls[stats.OK] > writers*each || s.Pulls[stats.OK] < writers*each-lost || s.Fetched != s.Pulls[stats.OK]*10 {
		t.Errorf("%+v, want %d pulls", s, writers*each)
	}
	for range 3 * most / 100 { // while one file becomes the other, more is written to it; not when one writes alone
		try(t, l.Add(pull(10)))
	}
	wantSmall(t, dir)
}

func wantSmall(t *testing.T, dir string) {
	t.Helper()
	var bytes int64
	files, err := os.ReadDir(filepath.Join(dir, "stats"))
	try(t, err)
	for _, f := range files {
		info, err := f.Info()
		try(t, err)
		bytes += info.Size()
	}
	if len(files) != 3 || bytes > 3*most {
		t.Errorf("%d files of %d bytes together", len(files), bytes)
	}
}

// TestManyProcesses: no act of those that live to its end is lost, and what a killed one leaves spoils nobody's.
func TestManyProcesses(t *testing.T) {
	const processes, each = 8, 200
	dir := t.TempDir()
	exe, err := os.Executable()
	try(t, err)
	command := func(n int) *exec.Cmd {
		cmd := exec.CommandContext(t.Context(), exe)
		cmd.Env = append(os.Environ(), "STATS_TEST_DIR="+dir, "STATS_TEST_ACTS="+strconv.Itoa(n))
		return cmd
	}
	killed := command(1_000_000)
	try(t, killed.Start())
	var all sync.WaitGroup
	for range processes {
		all.Go(func() {
			if out, err := command(each).CombinedOutput(); err != nil {
				t.Errorf("%v: %s", err, out)
			}
		})
	}
	all.Wait()
	try(t, killed.Process.Kill())
	_ = killed.Wait()
	before := sum(t, open(dir)).Pulls[stats.OK]
	if before < processes*each { // the killed one wrote too, more than any could lose
		t.Errorf("%d acts, want %d at least", before, processes*each)
	}
	try(t, open(dir).Add(pull(1)))
	if after := sum(t, open(dir)).Pulls[stats.OK]; after != before+1 {
		t.Errorf("%d acts after one more than %d", after, before)
	}
}

// TestWhatIsNoActCountsForNothing: a line that was cut off, one of a later version, one that somebody made up.
func TestWhatIsNoActCountsForNothing(t *testing.T) {
	dir := t.TempDir()
	l := open(dir)
	try(t, l.Add(pull(5)))
	path := filepath.Join(dir, "stats", "acts.jsonl")
	f, err := os.OpenFile(path, os.O_APPEND|os.O_WRONLY, 0)
	try(t, err)
	_, err = f.WriteString(`{"kind":"dance","outcome":"ok","more":[1]}` + "\n{}\nnull\n" +
		`{"kind":"pull","outcome":"ok","fetched":-7}` + "\n" + `{"kind":"pull","outc`)
	try(t, err, f.Close(), l.Add(pull(6)))
	if s := sum(t, l); s.Pulls[stats.OK] != 2 || s.Fetched != 11 {
		t.Errorf("%+v", s)
	}
	try(t, os.WriteFile(filepath.Join(dir, "stats", "totals.json"), []byte("{"), 0o600))
	if s := sum(t, l); s.Fetched != 11 {
		t.Errorf("beside totals that are none: %+v", s)
	}
}

// TestAKillBetweenTotalsAndTurn: what was added to the totals is not counted twice.
func TestAKillBetweenTotalsAndTurn(t *testing.T) {
	dir := t.TempDir()
	l, n := open(dir), int64(0)
	at := func(name string) string { return filepath.Join(dir, "stats", name) }
	var before []byte
	for totals := []byte(nil); totals == nil; { // until the first time that something is added to them
		var err error
		before, err = os.ReadFile(at("acts.old.jsonl"))
		if err != nil && !os.IsNotExist(err) {
			t.Fatal(err)
		}
		try(t, l.Add(pull(1)))
		n++
		totals, _ = os.ReadFile(at("totals.json"))
	}
	// As it was before the turn: the file that the totals have is the older one still.
	try(t, os.Rename(at("acts.old.jsonl"), at("acts.jsonl")), os.WriteFile(at("acts.old.jsonl"), before, 0o600))
	if s := sum(t, l); s.Pulls[stats.OK] != n {
		t.Errorf("%d acts, want %d", s.Pulls[stats.OK], n)
	}
	try(t, l.Add(pull(1)))
	if s := sum(t, l); s.Pulls[stats.OK] != n+1 {
		t.Errorf("after the turn %d acts, want %d", s.Pulls[stats.OK], n+1)
	}
}

func TestANameIsCut(t *testing.T) {
	dir := t.TempDir()
	try(t, open(dir).Add(stats.Act{Kind: stats.Pull, Outcome: stats.OK, Name: strings.Repeat("ü", 10_000)}))
	raw, err := os.ReadFile(filepath.Join(dir, "stats", "acts.jsonl"))
	if err != nil || len(raw) > 500 || len(raw) < 256 {
		t.Errorf("%d bytes, %v", len(raw), err)
	}
}

func TestAFolderThatCannotBeMade(t *testing.T) {
	dir := t.TempDir()
	try(t, os.WriteFile(filepath.Join(dir, "stats"), nil, 0o600))
	if err := open(dir).Add(pull(1)); err == nil {
		t.Error("no error")
	}
}
