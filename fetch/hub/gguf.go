package hub

import (
	"cmp"
	"path"
	"regexp"
	"slices"
	"strings"

	"github.com/mstore/mstore/fetch/transfer"
)

// preferred are the quantisations that are taken of several when none is asked for.
var preferred = []string{"Q4_K_M", "Q4_0"}

// projectors are the precisions of a projector in the order in which they are taken: what runs everywhere first.
var projectors = []string{"F16", "BF16", "Q8_0", "F32"}

var (
	// quantPattern is the name of a quantisation at the end of a word.
	quantPattern = regexp.MustCompile(`(?:^|_)((?:I?Q|TQ)[0-9]+(?:_[0-9A-Z]+)*|MXFP4(?:_MOE)?|NVFP4|BF16|FP?16|FP?32|F64)$`)
	wordBreak    = regexp.MustCompile(`[-./]`)
)

// quantSet is one GGUF file, or all parts of one.
type quantSet struct {
	name  string // the path without shards and extension
	label string // the quantisation, in upper case; "" when the name has none
	files []entry
}

// setKey is the same for all parts of a file, and for no other.
func setKey(file string) string { return shardPattern.ReplaceAllString(file, "-of-$1") }

// quantSets are the GGUF weights among files: those nearest to the top first, whole files before those in parts, by
// name.
func quantSets(taken []entry) []quantSet {
	at := make(map[string]int)
	var sets []quantSet
	for _, e := range taken {
		name, isGGUF := cutExt(e.Path)
		if !isGGUF || isProjector(e.Path) || strings.Contains(strings.ToLower(path.Base(e.Path)), "imatrix") {
			continue
		}
		key := setKey(e.Path)
		i, known := at[key]
		if !known {
			i = len(sets)
			at[key] = i
			name = shardPattern.ReplaceAllString(name, "")
			sets = append(sets, quantSet{name: name, label: labelOf(name)})
		}
		sets[i].files = append(sets[i].files, e)
	}
	slices.SortStableFunc(sets, func(a, b quantSet) int {
		return cmp.Or(
			cmp.Compare(strings.Count(a.name, "/"), strings.Count(b.name, "/")),
			cmp.Compare(len(a.files), len(b.files)), cmp.Compare(a.name, b.name),
		)
	})
	return sets
}

func cutExt(file string) (name string, isGGUF bool) {
	ext := path.Ext(file)
	return strings.TrimSuffix(file, ext), strings.EqualFold(ext, extGGUF)
}

func isProjector(file string) bool {
	_, isGGUF := cutExt(file)
	return isGGUF && strings.Contains(strings.ToLower(path.Base(file)), "mmproj")
}

// labelOf finds the quantisation in the name of a file: the last word that is one, with a UD before it.
func labelOf(name string) string {
	words := wordBreak.Split(strings.ToUpper(name), -1)
	for i, word := range slices.Backward(words) {
		m := quantPattern.FindStringSubmatch(word)
		if m == nil {
			continue
		}
		label := normal(m[1])
		if i > 0 && words[i-1] == "UD" {
			label = "UD-" + label
		}
		return label
	}
	return ""
}

// normal is a quantisation by the one of its names that llama.cpp uses.
func normal(label string) string {
	switch label {
	case "FP16":
		return "F16"
	case "FP32":
		return "F32"
	}
	return label
}

// matching are the sets of a quantisation; where none is called so, those that have it as words in their names.
func matching(sets []quantSet, selector string) []quantSet {
	has := func(match func(s quantSet) bool) []quantSet {
		return slices.DeleteFunc(slices.Clone(sets), func(s quantSet) bool { return !match(s) })
	}
	if found := has(func(s quantSet) bool { return s.label == normal(selector) }); len(found) > 0 {
		return found
	}
	words := "-" + wordBreak.ReplaceAllString(selector, "-") + "-"
	return has(func(s quantSet) bool {
		return strings.Contains("-"+wordBreak.ReplaceAllString(strings.ToUpper(s.name), "-")+"-", words)
	})
}

// oneQuant leaves all GGUF files but one, and one projector, out of a repository that has several.
func (r *repository) oneQuant(taken []entry) []entry {
	sets := quantSets(taken)
	if len(sets) < 2 {
		return taken
	}
	chosen := sets[0]
	for _, label := range slices.Backward(preferred) {
		if found := matching(sets, label); len(found) > 0 {
			chosen = found[0]
		}
	}
	r.client.opts.Log.Warn("one quantisation of several is taken", "model", r.String(), "taken", transfer.Clean(chosen.name),
		"there", listed(labelsOf(sets), ""), "hint", nameHost+"/"+r.id+":QUANTISATION takes another, --include any")
	return without(taken, chosen, func(file string) bool {
		_, isGGUF := cutExt(file)
		return isGGUF
	})
}

// without leaves out those files of a kind that are neither of a set nor the projector of it.
func without(taken []entry, set quantSet, ofKind func(file string) bool) []entry {
	in := make(map[string]bool)
	for _, e := range set.files {
		in[e.Path] = true
	}
	projector, ok := bestProjector(taken)
	if _, isGGUF := cutExt(set.files[0].Path); ok && isGGUF {
		in[projector] = true
	}
	return slices.DeleteFunc(slices.Clone(taken), func(e entry) bool { return !in[e.Path] && ofKind(e.Path) })
}

// bestProjector is the one projector that a model takes of those there are.
func bestProjector(taken []entry) (file string, ok bool) {
	best := len(projectors) + 1
	for _, e := range taken {
		if !isProjector(e.Path) {
			continue
		}
		name, _ := cutExt(e.Path)
		rank := slices.Index(projectors, labelOf(name))
		if rank < 0 {
			rank = len(projectors)
		}
		if rank < best {
			best, file, ok = rank, e.Path, true
		}
	}
	return file, ok
}

// labelsOf are the quantisations there are, and the names of those files that name none.
func labelsOf(sets []quantSet) []string {
	var labels []string
	for _, s := range sets {
		labels = append(labels, cmp.Or(s.label, s.name))
	}
	slices.Sort(labels)
	return slices.Compact(labels)
}

func namesOf(sets []quantSet) []string {
	var names []string
	for _, s := range sets {
		names = append(names, s.name)
	}
	return names
}
