package mstore_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"

	"github.com/mstore/mstore"
)

func TestVerifyFile(t *testing.T) {
	s, long := newStore(t), strings.Repeat("long/", 100)+"name"
	load(t, s, folder(t, map[string]string{"a.txt": "A", "sub/dir/b.txt": "B", "sub/dir/a.txt": "other", long: "L", "empty": ""}), "org/m:v1")
	load(t, s, folder(t, map[string]string{"x": "X"}), "org/m/sub") // a name that begins as a file of the other does
	dir := folder(t, map[string]string{"a.txt": "A", "b.txt": "B", "wrong": "W", "none.txt": "A", "empty": "", "l": "L", "x": "X"})
	try(t, os.Symlink("a.txt", filepath.Join(dir, "link")), mkfifo(filepath.Join(dir, "pipe")))
	d := digest.FromString("A")
	one, two, none := int64(1), int64(2), int64(0)
	type want = mstore.FileWant
	for name, c := range map[string]struct {
		path string
		want want
		err  mstore.Class
	}{
		"name and file":                     {"a.txt", want{Name: "org/m:v1/a.txt"}, ""},
		"a file in a folder":                {"b.txt", want{Name: "org/m:v1/sub/dir/b.txt"}, ""},
		"a file of a long name":             {"l", want{Name: "org/m:v1/" + long}, ""},
		"wrong bytes":                       {"wrong", want{Name: "org/m:v1/a.txt"}, mstore.ErrVerification},
		"another file of it":                {"a.txt", want{Name: "org/m:v1/sub/dir/a.txt"}, mstore.ErrVerification},
		"name alone":                        {"a.txt", want{Name: "org/m:v1"}, ""},
		"name alone, by another name":       {"none.txt", want{Name: "org/m:v1"}, ""},
		"name alone, wrong bytes":           {"wrong", want{Name: "org/m:v1"}, mstore.ErrVerification},
		"name without its tag":              {"x", want{Name: "org/m/sub/x"}, ""},
		"an empty file":                     {"empty", want{Name: "org/m:v1/empty"}, ""},
		"no such file in it":                {"a.txt", want{Name: "org/m:v1/none"}, mstore.ErrNotFound},
		"a folder in it":                    {"a.txt", want{Name: "org/m:v1/sub"}, mstore.ErrNotFound},
		"no such model":                     {"a.txt", want{Name: "org/n:v1/a.txt"}, mstore.ErrNotFound},
		"no name":                           {"a.txt", want{Name: "\x00"}, mstore.ErrUsage},
		"digest":                            {"a.txt", want{Digest: d}, ""},
		"wrong digest":                      {"b.txt", want{Digest: d}, mstore.ErrVerification},
		"no digest":                         {"b.txt", want{Digest: "sha256:x"}, mstore.ErrUsage},
		"digest and size":                   {"a.txt", want{Digest: d, Size: &one}, ""},
		"digest and wrong size":             {"a.txt", want{Digest: d, Size: &two}, mstore.ErrVerification},
		"size":                              {"b.txt", want{Size: &one}, ""},
		"wrong size":                        {"b.txt", want{Size: &none}, mstore.ErrVerification},
		"size of an empty file":             {"empty", want{Size: &none}, ""},
		"name and the digest of the file":   {"a.txt", want{Name: "org/m:v1/a.txt", Digest: d}, ""},
		"name and the digest of another":    {"b.txt", want{Name: "org/m:v1/a.txt", Digest: digest.FromString("B")}, mstore.ErrVerification},
		"name, digest and size of the file": {"a.txt", want{Name: "org/m:v1", Digest: d, Size: &one}, ""},
		"a link to the file":                {"link", want{Name: "org/m:v1/a.txt"}, ""},
		"a pipe":                            {"pipe", want{Digest: d}, mstore.ErrUsage},
		"a folder":                          {".", want{Digest: d}, mstore.ErrUsage},
		"no such file":                      {"none", want{Digest: d}, mstore.ErrNotFound},
		"nothing is wanted":                 {"a.txt", want{}, mstore.ErrUsage},
	} {
		t.Run(name, func(t *testing.T) {
			err := s.VerifyFile(t.Context(), filepath.Join(dir, c.path), c.want)
			if c.err != "" {
				wantFailure(t, "VerifyFile", err, c.err)
			} else if err != nil {
				t.Error(err)
			}
		})
	}
}
