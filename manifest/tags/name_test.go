package tags_test

import (
	"errors"
	"path/filepath"
	"strings"
	"testing"

	"github.com/mstore/mstore/manifest/tags"
)

func TestEscape(t *testing.T) {
	for name, want := range map[string]string{
		"ghcr.io/org/model:tag":    "ghcr.io%2forg%2fmodel%3atag",
		"hf.co/Qwen/Qwen3-8B:main": "hf.co%2f!qwen%2f!qwen3-8!b%3amain",
		"localhost:5000/x@sha256:": "localhost%3a5000%2fx%40sha256%3a",
		"a!b%2f":                   "a%21b%252f",
		"..":                       "%2e%2e",
		".":                        "%2e",
		".tmp-1":                   "%2etmp-1",
		"../../etc/passwd":         "%2e.%2f..%2fetc%2fpasswd",
		"x.":                       "x%2e",
		"CON":                      "%43!o!n",
		"nul.txt":                  "%6eul.txt",
		"com1":                     "%63om1",
		"com":                      "com",
		"a b":                      "a%20b",
		`a\b*?"<>|~`:               "a%5cb%2a%3f%22%3c%3e%7c%7e",
		"模型":                       "%e6%a8%a1%e5%9e%8b",
	} {
		got, err := tags.Escape(name)
		if err != nil || got != want {
			t.Errorf("escape(%q) = %q, %v; want %q", name, got, err, want)
		}
		if back, ok := tags.Unescape(got); !ok || back != name {
			t.Errorf("unescape(%q) = %q, %v; want %q", got, back, ok, name)
		}
	}
}

func TestCheckNameRefuses(t *testing.T) {
	for _, name := range []string{
		"", "-rf", " a", "a ", "a  b", "a\tb", "a\nb", "a\x00", "a\x1b[31m", "a\x7f", "a\u0085", "a\u202eb", "a\u2066b", "a\u200bb", "a\u00a0b",
		"a\ufeff", "a\u2028b", "\xff", "a\ufffdb", "a\ue000", strings.Repeat("a", 241), strings.Repeat("A", 121), strings.Repeat("/", 81),
	} {
		if err := tags.CheckName(name); !errors.Is(err, tags.ErrName) || len(err.Error()) > 500 {
			t.Errorf("CheckName(%.40q) = %v", name, err)
		}
	}
	for _, name := range []string{strings.Repeat("a", 240), strings.Repeat("A", 120), strings.Repeat("/", 80), "My Model (v1), final!.gguf", "é", "😀"} {
		if err := tags.CheckName(name); err != nil {
			t.Errorf("CheckName(%.40q) = %v", name, err)
		}
	}
}

func TestUnescapeRefusesWhatEscapeNeverMakes(t *testing.T) {
	for _, file := range []string{
		"", "A", "a/b", "%2F", "%61", "%2", "%", "!", "a!", "!1", "!A", "a.", ".a", "nul", "%zz", "%00", "%ff", "a b", "a:b", "é", "%2d", "-a", "%4e!u!l.txt ",
	} {
		if name, ok := tags.Unescape(file); ok {
			t.Errorf("unescape(%q) = %q", file, name)
		}
	}
}

func FuzzEscape(f *testing.F) {
	for _, name := range []string{"a", "A/b:C", "..", "con.x", "é\u0301", "a%2fb", "!a", "x y"} {
		f.Add(name)
	}
	f.Fuzz(func(t *testing.T, name string) {
		if back, ok := tags.Unescape(name); ok { // as a file's name
			if again, err := tags.Escape(back); err != nil || again != name {
				t.Fatalf("the file %q is %q, whose file is %q, %v", name, back, again, err)
			}
		}
		file, err := tags.Escape(name)
		if err != nil {
			if !errors.Is(err, tags.ErrName) {
				t.Fatal(err)
			}
			return
		}
		if back, ok := tags.Unescape(file); !ok || back != name {
			t.Fatalf("%q became %q and that %q", name, file, back)
		}
		if len(file) > 240 || file != filepath.Base(file) || file != strings.ToLower(file) ||
			strings.Trim(file, "abcdefghijklmnopqrstuvwxyz0123456789._-!%") != "" || file[0] == '.' || file[len(file)-1] == '.' {
			t.Fatalf("%q became %q", name, file)
		}
	})
}
