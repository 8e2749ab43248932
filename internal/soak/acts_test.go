package soak_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// The exit codes that an act may end with beside 0.
const (
	pinned   = 2 // usage: the model is pinned, and rm leaves it
	notFound = 3 // no such model: it was removed meanwhile, or never there
	busy     = 9 // the tag was moved between the look and the act
)

// act is one of the things that a process does.
type act struct {
	name    string
	weight  int                                         // how often it comes, beside others
	line    func(s *soak, r *rand.Rand, n int) []string // its arguments; n is the round
	excused []int                                       // exit codes, beside 0, that are no fault
	check   func(s *soak, line []string, stdout string) error
}

const names = 8 // for which the acts contend

func anyName(r *rand.Rand) string { return fmt.Sprint("name-", r.IntN(names)) }

// readable is a name that may go, or one that never does.
func readable(r *rand.Rand) string {
	if r.IntN(3) == 0 {
		return keepers[r.IntN(len(keepers))]
	}
	return anyName(r)
}

// keepers are the names that keep their model through the whole soak, the first of them by a pin.
var keepers = []string{"keep-pinned", "keep-tagged"}

func onName(verb string) func(*soak, *rand.Rand, int) []string {
	return func(_ *soak, r *rand.Rand, _ int) []string { return []string{verb, anyName(r)} }
}

func onReadable(verb string) func(*soak, *rand.Rand, int) []string {
	return func(_ *soak, r *rand.Rand, _ int) []string { return []string{verb, readable(r)} }
}

// plain is a command without arguments.
func plain(words ...string) func(*soak, *rand.Rand, int) []string {
	return func(*soak, *rand.Rand, int) []string { return words }
}

var acts = []act{
	{"pull", 10, func(s *soak, r *rand.Rand, _ int) []string {
		return []string{"pull", s.models[r.IntN(len(s.models))].ref, "--as", anyName(r)}
	}, nil, nil},
	{"pull", 3, func(s *soak, r *rand.Rand, _ int) []string {
		return []string{"pull", s.models[r.IntN(len(s.models))].ref}
	}, nil, nil},
	{"import", 5, func(s *soak, r *rand.Rand, _ int) []string {
		return []string{"import", s.models[r.IntN(len(s.models))].dir, "--as", anyName(r)}
	}, nil, nil},
	{"push", 3, func(s *soak, r *rand.Rand, _ int) []string {
		return []string{"push", readable(r), fmt.Sprintf("%s/pushed/%d:v1", s.registry, r.IntN(4))}
	}, []int{notFound}, nil},
	{"rm", 14, onName("rm"), []int{pinned, notFound, busy}, nil},
	{"rm", 3, func(s *soak, r *rand.Rand, _ int) []string {
		return []string{"rm", s.models[r.IntN(len(s.models))].ref}
	}, []int{notFound, busy}, nil},
	{"tag", 6, func(_ *soak, r *rand.Rand, _ int) []string {
		return []string{"tag", readable(r), anyName(r)}
	}, []int{notFound}, nil},
	{"pin", 2, onName("pin"), []int{notFound}, nil},
	{"unpin", 4, onName("unpin"), []int{notFound}, nil},
	{"gc", 10, plain("gc"), nil, countRemoved},
	{"gc --dry-run", 1, plain("gc", "--dry-run"), nil, nil},
	{"export", 5, func(s *soak, r *rand.Rand, n int) []string {
		return []string{"export", readable(r), filepath.Join(s.out, fmt.Sprint(n))}
	}, []int{notFound}, isOneModel},
	{"path", 4, onReadable("path"), []int{notFound}, nil},
	{"show", 2, onReadable("show"), []int{notFound}, nil},
	{"verify", 6, onReadable("verify"), []int{notFound}, nil},
	{"verify --repair", 2, plain("verify", "--repair", "--format", "json"), nil, indexAlone},
	{"list", 3, plain("list"), nil, nil},
}

// choose is the act of a round.
func choose(r *rand.Rand) act {
	sum := 0
	for _, a := range acts {
		sum += a.weight
	}
	at := r.IntN(sum)
	for _, a := range acts {
		if at -= a.weight; at < 0 {
			return a
		}
	}
	return acts[0]
}

// kept tells whether the act reads a name that is always there, so that not finding it is a fault.
func kept(line []string) bool { return len(line) > 1 && slices.Contains(keepers, line[1]) }

// countRemoved adds up what collections removed beside all the others.
func countRemoved(s *soak, _ []string, stdout string) error {
	var n int64
	if _, err := fmt.Sscanf(stdout, "removed %d blob", &n); err != nil {
		return fmt.Errorf("gc printed %q: %w", stdout, err)
	}
	s.removed.Add(n)
	return nil
}

// isOneModel wants what was exported to be the files of one model, of whichever the name meant then.
func isOneModel(s *soak, line []string, _ string) error {
	dir := line[2]
	defer func() { _ = os.RemoveAll(dir) }()
	got, err := contents(dir)
	if err != nil {
		return err
	}
	for _, m := range s.models {
		if maps.Equal(got, m.files) {
			return nil
		}
	}
	return fmt.Errorf("exported %q, which no model has", slices.Sorted(maps.Keys(got)))
}

// indexAlone wants nothing to have been repaired but index.json, which a process that is killed leaves behind as it was.
func indexAlone(_ *soak, _ []string, stdout string) error {
	var report struct {
		Bad     []struct{ Digest, Problem string }
		Foreign []string
	}
	if err := json.Unmarshal([]byte(stdout), &report); err != nil {
		return err
	}
	for _, bad := range report.Bad {
		if bad.Digest != "" {
			return fmt.Errorf("%s was bad: %s", bad.Digest, bad.Problem)
		}
	}
	if len(report.Foreign) > 0 {
		return fmt.Errorf("foreign: %s", strings.Join(report.Foreign, ", "))
	}
	return nil
}
