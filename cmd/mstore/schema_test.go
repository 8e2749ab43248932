package main

import (
	"flag"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
	"github.com/santhosh-tekuri/jsonschema/v6"
)

// schemas are those of spec/output, by name.
type schemas struct {
	byName map[string]*jsonschema.Schema

	mu   sync.Mutex
	used map[string]bool
}

// loadSchemas compiles every schema; that there are none is a failure.
func loadSchemas(t *testing.T) *schemas {
	t.Helper()
	const suffix, shared = ".schema.json", "common"
	paths, err := filepath.Glob(filepath.Join("..", "..", "spec", "output", "*"+suffix))
	if err != nil || len(paths) < 2 {
		t.Fatalf("%d schemas in spec/output: %v", len(paths), err)
	}
	s := &schemas{byName: make(map[string]*jsonschema.Schema), used: make(map[string]bool)}
	compiler := jsonschema.NewCompiler()
	compiler.DefaultDraft(jsonschema.Draft2020)
	for _, path := range paths {
		file, err := os.Open(path)
		if err != nil {
			t.Fatal(err)
		}
		doc, err := jsonschema.UnmarshalJSON(file)
		if err != nil {
			t.Fatalf("%s: %v", path, err)
		}
		_ = file.Close()
		if err := compiler.AddResource("spec:///"+filepath.Base(path), doc); err != nil {
			t.Fatalf("%s: %v", path, err)
		}
	}
	for _, path := range paths {
		name := strings.TrimSuffix(filepath.Base(path), suffix)
		if name == shared {
			continue
		}
		if s.byName[name], err = compiler.Compile("spec:///" + filepath.Base(path)); err != nil {
			t.Fatalf("%s: %v", path, err)
		}
	}
	return s
}

// command is schema NAME [FILE]: every line of stdout, or of a file, is a document that the schema of that name takes,
// and there is one.
func (s *schemas) command(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 1 {
		ts.Fatalf("usage: schema NAME [FILE]")
	}
	schema, ok := s.byName[args[0]]
	if !ok {
		ts.Fatalf("no schema %s in spec/output", args[0])
	}
	from := "stdout"
	if len(args) > 1 {
		from = args[1]
	}
	text := strings.TrimSuffix(ts.ReadFile(from), "\n")
	for line := range strings.SplitSeq(text, "\n") {
		doc, err := jsonschema.UnmarshalJSON(strings.NewReader(line))
		ts.Check(err)
		ts.Check(schema.Validate(doc))
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.used[args[0]] = true
}

// allWereUsed fails for a schema that no output was held against.
func (s *schemas) allWereUsed(t *testing.T) {
	t.Helper()
	for name := range s.byName {
		if !s.used[name] && everyScriptRan() {
			t.Errorf("no script holds output against spec/output/%s.schema.json", name)
		}
	}
}

// everyScriptRan is false when -run chose some.
func everyScriptRan() bool {
	f := flag.Lookup("test.run")
	return f == nil || !strings.Contains(f.Value.String(), "/")
}
