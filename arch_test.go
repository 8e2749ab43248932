package mstore_test

import (
	"bytes"
	"go/ast"
	"go/types"
	"path"
	"slices"
	"strings"
	"testing"
)

// module is the prefix of this project's import paths.
const module = "github.com/mstore/mstore"

// rooms says which of this project's packages each package may import, by folder. "" is the package at the root.
// A package without a row, and a row without a package, are errors. Tests may import what they like.
var rooms = map[string][]string{
	"internal/clone":   {},
	"internal/durable": {},
	"internal/flock":   {},
	"internal/key":     {},

	"manifest":       {},
	"manifest/tags":  {"internal/durable", "internal/flock"},
	"blobstore":      {"blobstore/pack", "internal/clone", "internal/durable", "internal/flock", "internal/key"},
	"blobstore/pack": {},
	"quarantine":     {"internal/durable", "internal/key"},
	"stats":          {"internal/durable", "internal/flock"},
	"fetch/transfer": {},
	"fetch/source":   {"fetch/transfer", "manifest"},
	"fetch/guard":    {"fetch/transfer"},
	"fetch/registry": {"fetch/guard", "fetch/source", "fetch/transfer", "manifest"},
	"fetch/hub":      {"fetch/guard", "fetch/source", "fetch/transfer", "manifest"},
	"fetch/ollama":   {"fetch/guard", "fetch/source", "fetch/transfer", "manifest"},
	"fetch/web":      {"fetch/guard", "fetch/source", "fetch/transfer", "manifest"},
	"fetch/local":    {"fetch/source", "fetch/transfer", "internal/key", "manifest"},
	"fetch":          {"blobstore", "fetch/source", "fetch/transfer", "manifest", "manifest/tags", "quarantine"},
	"fetch/tally":    {"fetch"},
	"export":         {"blobstore", "internal/clone", "internal/durable", "internal/flock", "internal/key", "manifest"},
	"gc":             {"blobstore", "manifest", "manifest/tags"},

	"": {
		"blobstore", "export", "fetch", "fetch/guard", "fetch/hub", "fetch/local", "fetch/ollama", "fetch/registry", "fetch/source",
		"fetch/tally", "fetch/transfer", "fetch/web", "gc",
		"internal/clone", "internal/durable", "internal/flock", "internal/key", "manifest", "manifest/tags", "quarantine", "stats",
	},
	"cmd/mstore": {
		"", "blobstore", "export", "fetch", "fetch/guard", "fetch/hub", "fetch/local", "fetch/ollama", "fetch/registry", "fetch/source",
		"fetch/tally", "fetch/transfer", "fetch/web", "gc",
		"internal/clone", "internal/durable", "internal/flock", "internal/key", "manifest", "manifest/tags", "quarantine", "stats",
	},

	// Programs and rooms for tests: nothing above imports them.
	"blobstore/storetest":   {"blobstore", "internal/durable", "internal/key"},
	"fetch/sourcetest":      {"fetch/source", "fetch/transfer", "manifest", "manifest/tags"},
	"internal/bench":        {"internal/registrytest", "manifest", "manifest/tags"},
	"internal/demo":         {"internal/hubtest", "internal/registrytest"},
	"internal/faultserver":  {},
	"internal/ollamatest":   {"manifest"},
	"internal/memsink":      {},
	"internal/hubtest":      {},
	"internal/registrytest": {"internal/durable", "internal/flock"},
	"internal/storecheck":   {},
	"internal/tinymodel":    {},
}

// commands are the packages that may have a command line; every other one is a library.
var commands = []string{"cmd/mstore", "internal/bench", "internal/demo", "internal/registrytest", "internal/tinymodel"}

// notInALibrary are imports that belong to a command: flags, terminals and configuration files.
var notInALibrary = []string{
	"flag", "github.com/urfave/cli", "github.com/vbauerster/mpb", "golang.org/x/term", "gopkg.in/yaml", "go.yaml.in/yaml",
}

// vague are names that tell a reader nothing of what is inside.
var vague = []string{"common", "errors", "helpers", "models", "types", "util", "utils"}

const (
	maxFileLines = 300
	maxFuncLines = 80
)

func TestEveryPackageHasARow(t *testing.T) {
	for name := range packages(t) {
		if _, ok := rooms[name]; !ok {
			t.Errorf("package %q has no row in the table: say what it may import", name)
		}
		if slices.Contains(vague, path.Base(name)) {
			t.Errorf("package %q says nothing of what is inside", name)
		}
	}
	for name := range rooms {
		if _, ok := packages(t)[name]; !ok {
			t.Errorf("the table has a row for %q, which is no package", name)
		}
	}
}

func TestWhoImportsWhom(t *testing.T) {
	for name, files := range packages(t) {
		for _, f := range files {
			for _, spec := range f.tree.Imports {
				checkImport(t, name, f.at(spec), importPath(spec))
			}
		}
	}
}

func checkImport(t *testing.T, name, at, imported string) {
	t.Helper()
	if imported == module || strings.HasPrefix(imported, module+"/") {
		ours := strings.TrimPrefix(strings.TrimPrefix(imported, module), "/")
		if !slices.Contains(rooms[name], ours) {
			t.Errorf("%s: %q must not import %q", at, name, ours)
		}
		return
	}
	if slices.Contains(commands, name) {
		return
	}
	for _, no := range notInALibrary {
		if imported == no || strings.HasPrefix(imported, no+"/") || strings.HasPrefix(imported, no+".") {
			t.Errorf("%s: %q is a library and must not import %s", at, name, imported)
		}
	}
}

func TestTheTableIsNoCircle(t *testing.T) {
	var walk func(name string, above []string)
	walk = func(name string, above []string) {
		if slices.Contains(above, name) {
			t.Fatalf("the table allows a circle: %q", append(above, name))
		}
		for _, next := range rooms[name] {
			walk(next, append(above, name))
		}
	}
	for name := range rooms {
		walk(name, nil)
	}
}

// TestOnlyDurableRenamesLinksAndSyncs looks at names, not at types: a call of Sync, Rename or Link on anything but the
// package durable counts. Below an os.Root export may move and link: no planted link leads out of there, and nothing of
// what it makes has to survive a power cut.
func TestOnlyDurableRenamesLinksAndSyncs(t *testing.T) {
	calls := []string{
		"Rename", "Renameat", "Renameat2", "Link", "Linkat", "MoveFile", "MoveFileEx",
		"Sync", "Fsync", "Fdatasync", "FlushFileBuffers", "Syncfs",
	}
	for name, files := range packages(t) {
		if name == "internal/durable" || name == "internal/bench" { // which measures what they cost
			continue
		}
		for _, f := range files {
			for call := range nodes[*ast.CallExpr](f.tree) {
				sel, ok := call.Fun.(*ast.SelectorExpr)
				if !ok || !slices.Contains(calls, sel.Sel.Name) || isNamed(sel.X, "durable") {
					continue
				}
				if name != "export" || !isNamed(sel.X, "root") {
					t.Errorf("%s: %s: only internal/durable renames, links and syncs", f.at(sel), types.ExprString(sel))
				}
			}
		}
	}
}

// TestOnlyDurableChangesAStore keeps what writes into a store from going around the package where each step can be made to
// fail.
func TestOnlyDurableChangesAStore(t *testing.T) {
	writers := []string{"", "blobstore", "export", "gc", "manifest/tags", "quarantine", "stats"}
	calls := []string{
		"Chmod", "Chtimes", "Create", "CreateTemp", "Mkdir", "MkdirAll", "MkdirTemp", "Remove", "RemoveAll", "Truncate", "WriteFile",
	}
	for name, files := range packages(t) {
		if !slices.Contains(writers, name) {
			continue
		}
		for _, f := range files {
			for call := range nodes[*ast.CallExpr](f.tree) {
				sel, ok := call.Fun.(*ast.SelectorExpr)
				if ok && isNamed(sel.X, "os") && slices.Contains(calls, sel.Sel.Name) {
					t.Errorf("%s: %s: use internal/durable", f.at(sel), types.ExprString(sel))
				}
			}
		}
	}
}

// TestOnlyKeyMakesAPathOfADigest finds the ways that lead there: the part of a digest after the colon, and a digest
// turned into a string inside a call of filepath.Join.
func TestOnlyKeyMakesAPathOfADigest(t *testing.T) {
	for name, files := range packages(t) {
		if name == "internal/key" || name == "internal/bench" { // which makes a large store out of nothing
			continue
		}
		for _, f := range files {
			for sel := range nodes[*ast.SelectorExpr](f.tree) {
				if sel.Sel.Name == "Encoded" && name != "manifest" { // which makes names of checked digests, and no paths
					t.Errorf("%s: %s: a digest is taken apart by internal/key alone", f.at(sel), types.ExprString(sel))
				}
			}
			for call := range nodes[*ast.CallExpr](f.tree) {
				if types.ExprString(call.Fun) == "filepath.Join" && slices.ContainsFunc(call.Args, holdsDigest) {
					t.Errorf("%s: %s: use key.Key.In", f.at(call), types.ExprString(call))
				}
			}
		}
	}
}

func holdsDigest(arg ast.Expr) bool {
	for sel := range nodes[*ast.SelectorExpr](arg) {
		if sel.Sel.Name == "Digest" {
			return true
		}
	}
	return false
}

// TestNoCodeChangesAGlobal holds each assignment against the variables of its package. Tables are data.
func TestNoCodeChangesAGlobal(t *testing.T) {
	for _, files := range packages(t) {
		uses := resolve(files)
		for _, f := range files {
			for _, target := range assigned(f.tree) {
				id := root(target)
				if id == nil {
					continue
				}
				if v, ok := uses[id].(*types.Var); ok && v.Parent() != nil && v.Parent().Parent() == types.Universe {
					t.Errorf("%s: %s is a variable of the package and is changed here", f.at(target), types.ExprString(target))
				}
			}
		}
	}
}

func TestEveryPackageSaysWhatItOwns(t *testing.T) {
	for name, files := range packages(t) {
		said := slices.ContainsFunc(files, func(f *file) bool { return f.tree.Doc != nil })
		if !said {
			t.Errorf("package %q has no comment that says what it owns", name)
		}
	}
}

func TestFilesAndFunctionsFitAReader(t *testing.T) {
	for _, files := range packages(t) {
		for _, f := range files {
			if n := bytes.Count(f.text, []byte("\n")); n > maxFileLines {
				t.Errorf("%s has %d lines, more than %d", f.name, n, maxFileLines)
			}
			for fn := range nodes[*ast.FuncDecl](f.tree) {
				if n := f.line(fn.End()) - f.line(fn.Pos()) + 1; n > maxFuncLines {
					t.Errorf("%s: %s has %d lines, more than %d", f.at(fn), fn.Name.Name, n, maxFuncLines)
				}
			}
		}
	}
}
