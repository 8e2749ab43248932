package ollama_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/mstore/mstore/fetch/ollama"
	"github.com/mstore/mstore/fetch/source"
)

func TestParseReference(t *testing.T) {
	for ref, want := range map[string]struct{ name, again string }{
		"llama3":                       {"ollama.com/library/llama3:latest", "library/llama3:latest"},
		"llama3.2:1b-instruct-q4_K_M":  {"ollama.com/library/llama3.2:1b-instruct-q4_K_M", "library/llama3.2:1b-instruct-q4_K_M"},
		"library/llama3":               {"ollama.com/library/llama3:latest", "library/llama3:latest"},
		"Me/My_Model:V1":               {"ollama.com/Me/My_Model:V1", "Me/My_Model:V1"},
		"ollama.com/library/x":         {"ollama.com/library/x:latest", "library/x:latest"},
		"ollama.com/x:y":               {"ollama.com/library/x:y", "library/x:y"},
		"Registry.Ollama.AI/me/x":      {"ollama.com/me/x:latest", "me/x:latest"},
		"LOCALHOST:5000/me/x:y":        {"localhost:5000/me/x:y", "localhost:5000/me/x:y"},
		"hf.co/org/Model-GGUF:Q4_K_M":  {"hf.co/org/Model-GGUF:Q4_K_M", "hf.co/org/Model-GGUF:Q4_K_M"},
		"127.0.0.1:65535/a/b":          {"127.0.0.1:65535/a/b:latest", "127.0.0.1:65535/a/b:latest"},
		"_/_":                          {"ollama.com/_/_:latest", "_/_:latest"},
		"a..b:c..d":                    {"ollama.com/library/a..b:c..d", "library/a..b:c..d"},
		strings.Repeat("m", 80) + ":t": {"ollama.com/library/" + strings.Repeat("m", 80) + ":t", "library/" + strings.Repeat("m", 80) + ":t"},
		"library/x:" + strings.Repeat("t", 80): {
			"ollama.com/library/x:" + strings.Repeat("t", 80), "library/x:" + strings.Repeat("t", 80),
		},
	} {
		r, err := ollama.ParseReference(ref)
		if err != nil || r.Name() != want.name || r.String() != want.again {
			t.Errorf("ParseReference(%q) = %q, %q, %v; want %+v", ref, r.Name(), r, err, want)
		}
		if again, err := ollama.ParseReference(r.String()); err != nil || again != r {
			t.Errorf("ParseReference(%q) = %+v, %v; want %+v", r, again, err, r)
		}
	}
}

func TestParseReferenceRefuses(t *testing.T) {
	for _, ref := range []string{
		"", ":", "x:", ":x", "/", "/x", "x/", "a/b/c/d", "a//b", "-x", ".x", "..", "x:..", "x:.y", "../x", "me/../x",
		"n.s/x", "a b", "x:a b", "é", "x:é", "h\x00/a/b", "h:x/a/b", "h:123456/a/b", "http://h/a/b", "h/a/b@sha256:0",
		"x@sha256:" + strings.Repeat("0", 64), "x+y", "x:y:z", "a%2f/b", "h?/a/b", "u@h/a/b", "h#/a/b", "x\n",
		strings.Repeat("m", 81), "x:" + strings.Repeat("t", 81), strings.Repeat("n", 81) + "/x", strings.Repeat("h", 400) + "/a/b",
	} {
		r, err := ollama.ParseReference(ref)
		if !errors.Is(err, source.ErrReference) {
			t.Errorf("ParseReference(%q) = %+v, %v; want source.ErrReference", ref, r, err)
		} else if len(err.Error()) > 500 {
			t.Errorf("ParseReference(%.20q): the error has %d bytes", ref, len(err.Error()))
		}
	}
}
