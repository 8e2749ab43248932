package manifest

import (
	"fmt"
	"path"
	"strconv"
	"strings"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// nameless is a file, by its place among the others, that nobody named.
type nameless struct {
	at int
	meaning
}

// nameFiles gives every layer of m its file. Names that are written are kept and checked, then the others are made up
// around them: in the order of the layers, so that the same manifest always gets the same names. The same layer
// with the same name is one file; so is the same layer without a name.
func nameFiles(m *Manifest, names []string) ([]File, error) {
	files := make([]File, 0, len(m.Layers))
	var unnamed []nameless
	known := make(map[[2]string]struct{})
	tree := newTree(len(m.Layers))
	for i, l := range m.Layers {
		if l.MediaType == ocispec.MediaTypeEmptyJSON { // an artifact that has no layer must list this one
			continue
		}
		what := meaningOf(m.Kind, l, names[i])
		f := File{Path: what.path, Role: what.role, Archive: what.archive, Descriptor: l}
		again := false
		switch {
		case f.Archive != NotArchive:
		case f.Path == "":
			key := [2]string{l.MediaType, string(l.Digest)}
			if _, again = known[key]; !again {
				known[key] = struct{}{}
				unnamed = append(unnamed, nameless{len(files), what})
			}
		default:
			var err error
			if again, err = tree.addNamed(&f); err != nil {
				return nil, fmt.Errorf("%w: layer %d: %w", ErrMalformed, i, err)
			}
		}
		if !again {
			files = append(files, f)
		}
	}
	makeUp(files, unnamed, tree)
	return files, nil
}

// makeUp names the files that nobody named.
func makeUp(files []File, unnamed []nameless, t *tree) {
	count := make(map[string]int)
	for _, u := range unnamed {
		count[u.stem+u.ext]++
	}
	nth := make(map[string]int)
	for _, u := range unnamed {
		name, d := u.stem+u.ext, files[u.at].Descriptor.Digest
		nth[name]++
		switch {
		case name == "":
			name = "sha256-" + d.Encoded()
		case u.shards && count[name] > 1:
			name = fmt.Sprintf("%s-%05d-of-%05d%s", u.stem, nth[name], count[name], u.ext)
		}
		files[u.at].Path = t.addMadeUp(name, d)
	}
}

// tree is the folder that a model's files would make, as the most forgetful of file systems would see it.
type tree struct {
	files   map[string]named    // by folded path
	folders map[string]struct{} // folded
	tried   map[string]int      // the last number that a made-up name got
}

type named struct {
	path   string
	digest digest.Digest
}

func newTree(n int) *tree {
	return &tree{files: make(map[string]named, n), folders: make(map[string]struct{}), tried: make(map[string]int)}
}

// addNamed checks the name of f, cleans it, and adds it. again tells that the very same file is there already.
func (t *tree) addNamed(f *File) (again bool, err error) {
	if f.Path, err = SafePath(f.Path); err != nil {
		return false, err
	}
	return t.add(f.Path, f.Descriptor.Digest)
}

func (t *tree) add(file string, d digest.Digest) (again bool, err error) {
	key := fold(file)
	if have, ok := t.files[key]; ok {
		if have == (named{file, d}) {
			return true, nil
		}
		return false, fmt.Errorf("%w: %q and %q are one file", ErrUnsafePath, clip(have.path), clip(file))
	}
	if _, ok := t.folders[key]; ok {
		return false, fmt.Errorf("%w: %q is a file and a folder", ErrUnsafePath, clip(file))
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
	t.files[key] = named{file, d}
	return false, nil
}

// addMadeUp adds name, with a number when it is taken: model.gguf, model-2.gguf.
func (t *tree) addMadeUp(name string, d digest.Digest) string {
	ext := path.Ext(name)
	try := name
	for n := t.tried[name] + 1; ; n++ {
		if n > 1 {
			try = strings.TrimSuffix(name, ext) + "-" + strconv.Itoa(n) + ext
		}
		if again, err := t.add(try, d); err == nil && !again {
			t.tried[name] = n
			return try
		}
	}
}
