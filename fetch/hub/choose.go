package hub

import (
	"fmt"
	"path"
	"regexp"
	"slices"
	"strings"

	"github.com/mstore/mstore/fetch/source"
	"github.com/mstore/mstore/fetch/transfer"
)

// maxNamed is how many files or quantisations a text lists.
const maxNamed = 20

// choose takes of a repository's files those that make the model: see [Client.Resolve].
func (r *repository) choose(all []entry, ref Reference, opts source.Options) (chosen []entry, err error) {
	taken := slices.DeleteFunc(slices.Clone(all), func(e entry) bool { return !opts.Takes(e.Path) })
	switch {
	case ref.Selector != "":
		taken, err = r.selected(taken, ref)
	case len(opts.Include) == 0:
		taken = r.oneQuant(r.oneFormat(taken))
	}
	if err == nil && len(taken) == 0 {
		err = source.NoneTaken(r.String(), pathsOf(all))
	}
	return taken, err
}

func pathsOf(entries []entry) []string {
	paths := make([]string, 0, len(entries))
	for _, e := range entries {
		paths = append(paths, e.Path)
	}
	return paths
}

// selected is what a selector asks for.
func (r *repository) selected(taken []entry, ref Reference) ([]entry, error) {
	if ref.namesFile() {
		return r.selectedFile(taken, ref.Selector)
	}
	sets := quantSets(taken)
	found := matching(sets, ref.Selector)
	if len(found) == 0 {
		return nil, fmt.Errorf("%s: %w: it has no quantisation %s; there are %s",
			r, source.ErrNotFound, ref.Selector, listed(labelsOf(sets), "no GGUF files"))
	}
	if len(found) > 1 {
		r.client.opts.Log.Warn("several files have this quantisation; the first is taken", "model", r.String(), "quantisation", ref.Selector,
			"taken", transfer.Clean(found[0].name), "others", listed(namesOf(found[1:]), ""), "hint", "name a file in the place of the quantisation")
	}
	return without(taken, found[0], isWeights), nil
}

// selectedFile is a file, by its path or, where that tells, by its name alone, with the other parts of it.
func (r *repository) selectedFile(taken []entry, name string) ([]entry, error) {
	at := slices.IndexFunc(taken, func(e entry) bool { return e.Path == name })
	if at < 0 {
		for i, e := range taken {
			if path.Base(e.Path) == name {
				at = i
				break
			}
		}
	}
	if at < 0 {
		var weights []string
		for _, e := range taken {
			if isWeights(e.Path) {
				weights = append(weights, e.Path)
			}
		}
		return nil, fmt.Errorf("%s: %w: it has no file %q at revision %q; there are %s",
			r, source.ErrNotFound, name, r.revision, listed(weights, "no weights"))
	}
	key := setKey(taken[at].Path)
	set := quantSet{name: key}
	for _, e := range taken {
		if setKey(e.Path) == key {
			set.files = append(set.files, e)
		}
	}
	return without(taken, set, isWeights), nil
}

// oneFormat leaves out the weights that are there as safetensors too.
func (r *repository) oneFormat(taken []entry) []entry {
	have := make(map[string]bool) // of files of safetensors: where and what
	for _, e := range taken {
		if dir, stem, ext := parts(e.Path); ext == extSafetensors {
			have[dir+stem] = true
		}
	}
	var left []string
	kept := slices.DeleteFunc(slices.Clone(taken), func(e entry) bool {
		if !isDuplicate(e.Path, have) {
			return false
		}
		left = append(left, e.Path)
		return true
	})
	if len(left) > 0 {
		r.client.opts.Log.Warn("the same weights in other formats are left out; safetensors are taken", "model", r.String(),
			"left", len(left), "files", listed(left, ""), "hint", "--include takes them")
	}
	return kept
}

const (
	extSafetensors = ".safetensors"
	extGGUF        = ".gguf"
	// mainStem is what the weights of a whole model are called.
	mainStem = "model"
)

var (
	shardPattern = regexp.MustCompile(`-[0-9]{5}-of-([0-9]{5})`)

	// foreign are the extensions of weights that are no safetensors and no GGUF.
	foreign = []string{".bin", ".pt", ".pth", ".ckpt", ".h5", ".msgpack", ".ot", ".onnx", ".onnx_data", ".tflite", ".xml"}
	// faces are what the weights of one file are called in other formats, without shards and variants.
	faces = map[string]string{
		"pytorch_model": mainStem, "tf_model": mainStem, "flax_model": mainStem, "rust_model": mainStem, "openvino_model": mainStem,
		"diffusion_flax_model": "diffusion_pytorch_model",
	}
	// exports are folders at the top that hold the whole model in another format.
	exports = []string{"onnx", "openvino", "coreml", "tflite"}
)

// parts takes a path apart: the folder with its slash, the name without the numbers of a shard, and the extension. The
// index of the shards of a file counts as the file.
func parts(file string) (dir, stem, ext string) {
	dir, base := path.Split(strings.TrimSuffix(file, ".index.json"))
	ext = path.Ext(base)
	stem = shardPattern.ReplaceAllString(strings.TrimSuffix(base, ext), "")
	return dir, stem, strings.ToLower(ext)
}

// isDuplicate tells whether a file holds weights that are in a file of safetensors, of have, as well.
func isDuplicate(file string, have map[string]bool) bool {
	dir, stem, ext := parts(file)
	top, _, below := strings.Cut(file, "/")
	whole := have[mainStem]
	isConsolidated := strings.HasPrefix(stem, "consolidated")
	switch {
	case whole && below && slices.Contains(exports, top):
		return true
	case ext == extSafetensors:
		return whole && dir == "" && isConsolidated
	case ext == extGGUF:
		return whole
	case !slices.Contains(foreign, ext):
		return false
	case whole && isConsolidated && (dir == "" || dir == "original/"):
		return true
	}
	if have[dir+stem] {
		return true
	}
	for name, same := range faces {
		if variant, ok := strings.CutPrefix(stem, name); ok && have[dir+same+variant] {
			return true
		}
	}
	return false
}

// isWeights tells what is weights, or was made of them, from what goes with any of them.
func isWeights(file string) bool {
	_, stem, ext := parts(file)
	return ext == extSafetensors || ext == extGGUF || slices.Contains(foreign, ext) || strings.Contains(strings.ToLower(stem), "imatrix")
}

// listed is names from outside for a text; none is what is said when there are none.
func listed(names []string, none string) string {
	if len(names) == 0 {
		return none
	}
	var more string
	if n := len(names) - maxNamed; n > 0 {
		names, more = names[:maxNamed], fmt.Sprintf(" and %d more", n)
	}
	short := make([]string, 0, len(names))
	for _, n := range names {
		short = append(short, transfer.Clean(n))
	}
	return transfer.Clean(strings.Join(short, ", ")) + more
}
