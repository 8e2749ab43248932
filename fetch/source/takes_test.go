package source_test

import (
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/mstore/mstore/fetch/source"
)

func TestTakes(t *testing.T) {
	for _, c := range []struct {
		include, exclude []string
		file             string
		want             bool
	}{
		{nil, nil, "a/b.bin", true},
		{[]string{"*.gguf"}, nil, "q4/model.gguf", true},
		{[]string{"*.gguf"}, nil, "q4/model.bin", false},
		{[]string{"q4/*"}, nil, "q4/model.bin", true},
		{[]string{"q4/*"}, nil, "q4/deep/model.bin", false},
		{[]string{"q4/**"}, nil, "q4/deep/model.bin", true},
		{[]string{"q4/"}, nil, "q4/deep/model.bin", true},
		{[]string{"**/model.bin"}, nil, "model.bin", true},
		{[]string{"**/model.bin"}, nil, "a/b/model.bin", true},
		{[]string{"/config.json"}, nil, "config.json", true},
		{[]string{"/config.json"}, nil, "a/config.json", false},
		{[]string{"a", "b"}, nil, "b", true},
		{nil, []string{"*.bin"}, "x/pytorch_model.bin", false},
		{[]string{"*.json"}, []string{"tokenizer.*"}, "tokenizer.json", false},
		{[]string{"*.json"}, []string{"tokenizer.*"}, "config.json", true},
		{nil, []string{"**"}, "a/b", false},
		{[]string{"[a-c]?.bin"}, nil, "b1.bin", true},
	} {
		o := source.Options{Include: c.include, Exclude: c.exclude}
		if got := o.Takes(c.file); got != c.want {
			t.Errorf("include %q, exclude %q: takes %q = %v, want %v", c.include, c.exclude, c.file, got, c.want)
		}
	}
}

func TestCheckPatterns(t *testing.T) {
	for pattern, ok := range map[string]bool{"*.gguf": true, "a/**": true, "[a": false, "": false, "a[]b": false, "a\nb": false} {
		for _, o := range []source.Options{{Include: []string{pattern}}, {Exclude: []string{pattern}}} {
			if err := o.CheckPatterns(); (err == nil) != ok || err != nil && !errors.Is(err, source.ErrPattern) {
				t.Errorf("CheckPatterns(%q) = %v", pattern, err)
			}
		}
	}
}

func TestFilter(t *testing.T) {
	for _, o := range []source.Options{
		{},
		{Include: []string{"*.gguf", "+x"}, Exclude: []string{"-y"}},
		{Exclude: []string{"a", "b"}},
	} {
		var back source.Options
		back.SetFilter(o.Filter())
		if diff := cmp.Diff([][]string{o.Include, o.Exclude}, [][]string{back.Include, back.Exclude}); diff != "" {
			t.Errorf("%q does not come back: %s", o.Filter(), diff)
		}
	}
}
