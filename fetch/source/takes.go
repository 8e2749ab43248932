package source

import (
	"fmt"
	"path"
	"strings"

	"github.com/mstore/mstore/fetch/transfer"
)

// Takes tells whether a file of a model is taken: it matches one of Include, where there are any, and none of Exclude.
//
// A pattern is matched as the shell does: * and ? stop at a slash, and [a-z] is a class. ** stands for any number of
// folders. A pattern without a slash is matched against the file's last element, so that *.gguf means all of them; one
// that ends in a slash takes all that is in that folder.
func (o Options) Takes(file string) bool {
	return (len(o.Include) == 0 || anyMatches(o.Include, file)) && !anyMatches(o.Exclude, file)
}

// CheckPatterns fails with ErrPattern where a pattern of Include or Exclude is none.
func (o Options) CheckPatterns() error {
	for _, list := range [][]string{o.Include, o.Exclude} {
		for _, p := range list {
			if _, err := path.Match(p, ""); err != nil || p == "" || strings.Contains(p, "\n") {
				return fmt.Errorf("%q is %w", p, ErrPattern)
			}
		}
	}
	return nil
}

// Filter writes Include and Exclude as one text, a pattern a line with + or - before it; empty when there are none.
func (o Options) Filter() string {
	var lines []string
	for _, p := range o.Include {
		lines = append(lines, "+"+p)
	}
	for _, p := range o.Exclude {
		lines = append(lines, "-"+p)
	}
	return strings.Join(lines, "\n")
}

// NoneTaken is ErrNoneTaken of a model, with the names of the files that there are, as many as a sentence bears.
func NoneTaken(model string, files []string) error {
	const most = 10
	names, more := make([]string, 0, most), ""
	if n := len(files) - most; n > 0 {
		files, more = files[:most], fmt.Sprintf(" and %d more", n)
	}
	for _, f := range files {
		names = append(names, transfer.Clean(f))
	}
	return fmt.Errorf("%s: %w, which are %s%s", model, ErrNoneTaken, strings.Join(names, ", "), more)
}

// SetFilter sets Include and Exclude to what Filter wrote.
func (o *Options) SetFilter(text string) {
	o.Include, o.Exclude = nil, nil
	for line := range strings.SplitSeq(text, "\n") {
		if p, ok := strings.CutPrefix(line, "+"); ok {
			o.Include = append(o.Include, p)
		} else if p, ok := strings.CutPrefix(line, "-"); ok {
			o.Exclude = append(o.Exclude, p)
		}
	}
}

func anyMatches(patterns []string, file string) bool {
	for _, p := range patterns {
		if matches(p, file) {
			return true
		}
	}
	return false
}

func matches(pattern, file string) bool {
	if strings.HasSuffix(pattern, "/") {
		pattern += "**"
	}
	if !strings.Contains(pattern, "/") {
		ok, _ := path.Match(pattern, path.Base(file)) // a bad pattern matches nothing
		return ok || pattern == "**"
	}
	return matchParts(strings.Split(strings.TrimPrefix(pattern, "/"), "/"), strings.Split(file, "/"))
}

func matchParts(pattern, file []string) bool {
	for len(pattern) > 0 {
		if pattern[0] == "**" {
			for i := range len(file) + 1 {
				if matchParts(pattern[1:], file[i:]) {
					return true
				}
			}
			return false
		}
		if len(file) == 0 {
			return false
		}
		if ok, _ := path.Match(pattern[0], file[0]); !ok {
			return false
		}
		pattern, file = pattern[1:], file[1:]
	}
	return len(file) == 0
}
