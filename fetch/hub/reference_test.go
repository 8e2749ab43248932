package hub_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/mstore/mstore/fetch/hub"
	"github.com/mstore/mstore/fetch/source"
	"github.com/mstore/mstore/manifest/tags"
)

func TestReference(t *testing.T) {
	for typed, want := range map[string]struct {
		ref          hub.Reference
		name, string string
	}{
		"org/name":                   {hub.Reference{ID: "org/name", Revision: "main"}, "hf.co/org/name:main", "org/name"},
		"gpt2":                       {hub.Reference{ID: "gpt2", Revision: "main"}, "hf.co/gpt2:main", "gpt2"},
		"org/name@main":              {hub.Reference{ID: "org/name", Revision: "main"}, "hf.co/org/name:main", "org/name"},
		"org/name:latest":            {hub.Reference{ID: "org/name", Revision: "main"}, "hf.co/org/name:main", "org/name"},
		"Org/Na.me_1@v1.0":           {hub.Reference{ID: "Org/Na.me_1", Revision: "v1.0"}, "hf.co/Org/Na.me_1:v1.0", "Org/Na.me_1@v1.0"},
		"org/name@refs/pr/1":         {hub.Reference{ID: "org/name", Revision: "refs/pr/1"}, "hf.co/org/name:refs-pr-1", "org/name@refs/pr/1"},
		"org/name@a@b":               {hub.Reference{ID: "org/name", Revision: "a@b"}, "hf.co/org/name:a-b", "org/name@a@b"},
		"org/name@.x":                {hub.Reference{ID: "org/name", Revision: ".x"}, "hf.co/org/name:_x", "org/name@.x"},
		"org/name:q4_k_m":            {hub.Reference{ID: "org/name", Selector: "Q4_K_M", Revision: "main"}, "hf.co/org/name:Q4_K_M", "org/name:Q4_K_M"},
		"org/name:Q4_K_M@v2":         {hub.Reference{ID: "org/name", Selector: "Q4_K_M", Revision: "v2"}, "hf.co/org/name:Q4_K_M-v2", "org/name:Q4_K_M@v2"},
		"org/name:m-q4.gguf":         {hub.Reference{ID: "org/name", Selector: "m-q4.gguf", Revision: "main"}, "hf.co/org/name:m-q4.gguf", "org/name:m-q4.gguf"},
		"org/name:sub/m.gguf@feat/x": {hub.Reference{ID: "org/name", Selector: "sub/m.gguf", Revision: "feat/x"}, "hf.co/org/name:sub-m.gguf-feat-x", "org/name:sub/m.gguf@feat/x"},
	} {
		got, err := hub.ParseReference(typed)
		if err != nil || got != want.ref || got.Name() != want.name || got.String() != want.string {
			t.Errorf("ParseReference(%q) = %+v, %v: %q, %q", typed, got, err, got.Name(), got.String())
		}
		if again, err := hub.ParseReference(got.String()); err != nil || again != got {
			t.Errorf("%q is read again as %+v, %v", got.String(), again, err)
		}
	}
}

// TestLongNames: two long selectors have two names that are legal tags.
func TestLongNames(t *testing.T) {
	long := "org/name:" + strings.Repeat("x", 300)
	a, errA := hub.ParseReference(long + "a.gguf")
	b, errB := hub.ParseReference(long + "b.gguf")
	_, tag, _ := strings.Cut(a.Name(), ":")
	if errors.Join(errA, errB) != nil || len(tag) > 128 || a.Name() == b.Name() || tags.CheckName(a.Name()) != nil {
		t.Errorf("names %q and %q", a.Name(), b.Name())
	}
}

func TestReferencesThatAreNone(t *testing.T) {
	for typed, says := range map[string]string{
		"": "ORG/NAME", "org/": "ORG/NAME", "/name": "ORG/NAME", "a/b/c": "ORG/NAME", "org/na me": "ORG/NAME", "org/n--m": "ORG/NAME",
		"org/../x": "ORG/NAME", "../x": "ORG/NAME", "org/name.git": "ORG/NAME", "org/nämé": "ORG/NAME", "org/" + strings.Repeat("n", 97): "ORG/NAME",
		"datasets/org/name": "no models", "spaces/org/name": "no models", "datasets/squad": "no models",
		"org/name:": "Q4_K_M", "org/name:a b": "Q4_K_M", "org/name:" + strings.Repeat("x", 600): "Q4_K_M", `org/name:a\b`: "Q4_K_M",
		"org/name@": "a branch", "org/name@a\x1bb": "a branch", "org/name@a\u202eb": "a branch", "org/name@../x": "a branch",
		"org/name@v1:Q4_K_M": "before the revision",
	} {
		_, err := hub.ParseReference(typed)
		if !errors.Is(err, source.ErrReference) || !strings.Contains(err.Error(), says) {
			t.Errorf("ParseReference(%.50q) = %v, want ErrReference that says %q", typed, err, says)
		}
	}
}
