package manifest

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// nameFiles gives every layer of m its file. Names that are written are kept and checked, then the others are made up
// around them: in the order of the layers, so that the same manifest always gets the same names.
func nameFiles(m *Manifest, names []string) ([]File, error) {
	files := make([]File, 0, len(m.Layers))
	var unnamed []int // in files
	meanings := make(map[int]meaning)
	tree := newTree(len(m.Layers))
	for i, l := range m.Layers {
		if l.MediaType == ocispec.MediaTypeEmptyJSON { // an artifact that has no layer must list this one
			continue
		}
		what := meaningOf(m.Kind, l, names[i])
		f := File{Path: what.path, Role: what.role, Archive: what.archive, Descriptor: l}
		switch {
		case f.Archive != NotArchive:
		case f.Path == "":
			meanings[len(files)] = what
			unnamed = append(unnamed, len(files))
		default:
			again, err := tree.addNamed(&f)
			if err != nil {
				return nil, fmt.Errorf("%w: layer %d: %w", ErrMalformed, i, err)
			}
			if again {
				continue
			}
		}
		files = append(files, f)
	}
	makeUp(files, unnamed, meanings, tree)
	return files, nil
}

// makeUp names the files that nobody named.
func makeUp(files []File, unnamed []int, meanings map[int]meaning, t *tree) {
	count := make(map[string]int)
	for _, i := range unnamed {
		count[meanings[i].stem+meanings[i].ext]++
	}
	nth := make(map[string]int)
	for _, i := range unnamed {
		what := meanings[i]
		name := what.stem + what.ext
		nth[name]++
		switch {
		case name == "":
			name = "sha256-" + files[i].Descriptor.Digest.Encoded()
		case what.shards && count[name] > 1:
			name = fmt.Sprintf("%s-%05d-of-%05d%s", what.stem, nth[name], count[name], what.ext)
		}
		files[i].Path = t.addMadeUp(name, files[i].Descriptor.Digest)
	}
}

// tree is the folder that a model's files would make, as the most forgetful of file systems would see it.
type tree struct {
	files   map[string]named    // by folded path
	folders map[string]struct{} // folded
}

type named struct {
	path   string
	digest digest.Digest
}

func newTree(n int) *tree {
	return &tree{files: make(map[string]named, n), folders: make(map[string]struct{})}
}

// addNamed checks the name of f, cleans it, and adds it. again tells that the very same file is there already.
func (t *tree) addNamed(f *File) (again bool, err error) {
	if f.Path, err = SafePath(f.Path); err != nil {
		return false, err
	}
	return t.add(f.Path, f.Descriptor.Digest)
}

func (t *tree) add(path string, d digest.Digest) (again bool, err error) {
	key := fold(path)
	if have, ok := t.files[key]; ok {
		if have == (named{path, d}) {
			return true, nil
		}
		return false, fmt.Errorf("%w: %q and %q are one file", ErrUnsafePath, clip(have.path), clip(path))
	}
	if _, ok := t.folders[key]; ok {
		return false, fmt.Errorf("%w: %q is a file and a folder", ErrUnsafePath, clip(path))
	}
	for i := strings.LastIndexByte(key, '/'); i > 0; i = strings.LastIndexByte(key[:i], '/') {
		if have, ok := t.files[key[:i]]; ok {
			return false, fmt.Errorf("%w: %q is a file and a folder", ErrUnsafePath, clip(have.path))
		}
		if _, ok := t.folders[key[:i]]; ok {
			break // and with it all above
		}
		t.folders[key[:i]] = struct{}{}
	}
	t.files[key] = named{path, d}
	return false, nil
}

// addMadeUp adds name, with a number when it is taken: model.gguf, model-2.gguf.
func (t *tree) addMadeUp(name string, d digest.Digest) string {
	stem, ext := name, ""
	if i := strings.LastIndexByte(name, '.'); i > 0 {
		stem, ext = name[:i], name[i:]
	}
	for n, try := 2, name; ; n++ {
		if _, err := t.add(try, d); err == nil {
			return try
		}
		try = stem + "-" + strconv.Itoa(n) + ext
	}
}
