package gc_test

import (
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/mstore/mstore/gc"
	"github.com/mstore/mstore/manifest/tags"
)

// used makes a tag one that was last used days ago.
func (w *world) used(name string, days int) {
	w.Helper()
	then := time.Now().Add(-time.Duration(days)*24*time.Hour - time.Minute)
	w.must(os.Chtimes(filepath.Join(w.store.Dir("tags"), name), then, then))
}

// model tags a manifest of files of some bytes each: a file is named by a letter, and shared by all who have it.
func (w *world) model(name, files string, bytes, days int) ocispec.Descriptor {
	w.Helper()
	var all []ocispec.Descriptor
	for _, letter := range files {
		all = append(all, w.blob(strings.Repeat(string(letter), bytes)))
	}
	m := w.manifest(all...)
	w.tag(name, m)
	w.used(name, days)
	return m
}

func (w *world) choose(limits gc.Limits) *gc.Chosen {
	w.Helper()
	chosen, err := w.collector().Choose(w.Context(), limits)
	w.must(err)
	return chosen
}

const unit = 10_000 // bytes of a file; manifests are much smaller

func TestChoose(t *testing.T) {
	day := 24 * time.Hour
	for name, c := range map[string]struct {
		limits gc.Limits
		want   string
	}{
		"no limits":                            {gc.Limits{}, ""},
		"it fits":                              {gc.Limits{MaxSize: 8 * unit}, ""},
		"the oldest goes":                      {gc.Limits{MaxSize: 7 * unit}, "old"},
		"and the next":                         {gc.Limits{MaxSize: 5 * unit}, "old older-twin twin"},
		"all that may":                         {gc.Limits{MaxSize: 1}, "old older-twin twin new"},
		"the largest goes":                     {gc.Limits{MaxSize: 7 * unit, Order: gc.Largest}, "new"},
		"what is shared is free with the last": {gc.Limits{MaxSize: 4 * unit, Order: gc.Largest}, "new older-twin twin"},
		"by age":                               {gc.Limits{MaxAge: 25 * day}, "old older-twin"},
		"by age, and then by size":             {gc.Limits{MaxAge: 35 * day, MaxSize: 5 * unit}, "old older-twin twin"},
		"spared":                               {gc.Limits{MaxSize: 7 * unit, Spare: []string{"old"}}, "older-twin twin"},
		"spared by age":                        {gc.Limits{MaxAge: day, Spare: []string{"old", "new"}}, "older-twin twin"},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			w.model("pinned", "p", unit, 90)
			w.must(w.tags.Pin("pinned"))
			w.lease(w.model("in-use", "u", unit, 80).Digest)
			w.model("old", "a", unit, 40)
			w.model("older-twin", "bc", unit, 30)
			w.model("twin", "bc", unit, 20)
			w.model("new", "def"[:2], unit+1, 10)
			chosen := w.choose(c.limits)
			var names []string
			size := chosen.Size
			for _, choice := range chosen.Choices {
				names = append(names, choice.Tag.Name)
				size -= choice.Frees
			}
			if got := strings.Join(names, " "); got != c.want {
				t.Errorf("chose %q, want %q", got, c.want)
			}
			if size != chosen.Left {
				t.Errorf("%d bytes less %d are not the %d that are left", chosen.Size, chosen.Size-size, chosen.Left)
			}
			w.runChoice(chosen)
		})
	}
}

// runChoice drops what was chosen, and wants the blobs that are left to be as large as was said.
func (w *world) runChoice(chosen *gc.Chosen) {
	w.Helper()
	var drop []tags.Tag
	for _, c := range chosen.Choices {
		drop = append(drop, c.Tag)
	}
	plan, err := w.collector().Plan(w.Context(), drop)
	w.must(err)
	if len(plan.Drop) != len(drop) {
		w.Errorf("the plan drops %d tags of %d", len(plan.Drop), len(drop))
	}
	_, err = w.collector().Run(w.Context(), plan)
	w.must(err)
	var left int64
	for d, err := range w.store.All() {
		w.must(err)
		n, err := w.store.Size(d)
		w.must(err)
		left += n
	}
	if left != chosen.Left {
		w.Errorf("%d bytes of blobs are left, and %d were said", left, chosen.Left)
	}
}

// TestChooseByChance: whatever models share, the choice fits if anything does, and no tag of it could have stayed.
func TestChooseByChance(t *testing.T) {
	for seed := range uint64(12) {
		rng := rand.New(rand.NewPCG(seed, 4))
		w := newWorld(t)
		for i := range 2 + rng.IntN(8) {
			var files []byte
			for range 1 + rng.IntN(4) {
				files = append(files, byte('a'+rng.IntN(8)))
			}
			slices.Sort(files)
			w.model(fmt.Sprint("m", i), string(slices.Compact(files)), 1000*(1+rng.IntN(3)), rng.IntN(30))
		}
		limits := gc.Limits{MaxSize: 1 + rng.Int64N(20_000), Order: []gc.Order{gc.Largest, gc.LeastRecentlyUsed, ""}[rng.IntN(3)]}
		chosen := w.choose(limits)
		if chosen.Left > limits.MaxSize {
			t.Errorf("seed %d: %d bytes are left, which is more than %d", seed, chosen.Left, limits.MaxSize)
		}
		var spare []string
		for _, c := range chosen.Choices {
			if again := w.choose(gc.Limits{MaxSize: limits.MaxSize, Spare: append(w.others(chosen), c.Tag.Name)}); again.Left <= limits.MaxSize {
				t.Errorf("seed %d: %s could have stayed", seed, c.Tag.Name)
			}
			spare = append(spare, c.Tag.Name)
		}
		if all := w.choose(gc.Limits{MaxSize: limits.MaxSize, Spare: spare}); len(spare) > 0 && slices.ContainsFunc(all.Choices, func(c gc.Choice) bool {
			return slices.Contains(spare, c.Tag.Name)
		}) {
			t.Errorf("seed %d: what was spared was chosen", seed)
		}
		w.runChoice(chosen)
	}
}

// others is the names that were not chosen.
func (w *world) others(chosen *gc.Chosen) (names []string) {
	w.Helper()
	all, err := w.tags.List()
	w.must(err)
	for _, tag := range all {
		if !slices.ContainsFunc(chosen.Choices, func(c gc.Choice) bool { return c.Tag.Name == tag.Name }) {
			names = append(names, tag.Name)
		}
	}
	return names
}

// TestChooseIsTheSameEachTime: the order of maps does not show, and tags of one age go by name.
func TestChooseIsTheSameEachTime(t *testing.T) {
	w := newWorld(t)
	then := time.Now().Add(-time.Hour)
	for _, name := range []string{"d", "a", "c", "b"} {
		w.model(name, name, unit, 0)
		w.must(os.Chtimes(filepath.Join(w.store.Dir("tags"), name), then, then))
	}
	for range 20 {
		var names []string
		for _, c := range w.choose(gc.Limits{MaxSize: 2 * unit}).Choices {
			names = append(names, c.Tag.Name)
		}
		if diff := cmp.Diff([]string{"a", "b", "c"}, names); diff != "" {
			t.Fatal(diff)
		}
	}
}
