package mstore_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"go/types"
	"io/fs"
	"iter"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
)

// file is one parsed Go file of this module that is no test.
type file struct {
	name string // as seen from the root
	text []byte
	tree *ast.File
	set  *token.FileSet
}

func (f *file) line(pos token.Pos) int    { return f.set.Position(pos).Line }
func (f *file) at(n ast.Node) string      { return f.set.Position(n.Pos()).String() }
func importPath(s *ast.ImportSpec) string { p, _ := strconv.Unquote(s.Path.Value); return p }

// parsed reads the module once for all tests of this file's kind.
var parsed = sync.OnceValues(parseModule)

// packages are this module's Go files without tests, by folder, whatever their build constraints. They are parsed
// here, in-process: `go list` would let a violation hide behind the test cache.
func packages(t *testing.T) map[string][]*file {
	t.Helper()
	all, err := parsed()
	if err != nil {
		t.Fatal(err)
	}
	const least = 10 // fewer means that the walk went wrong, not that the project is small
	if len(all) < least {
		t.Fatalf("found %d packages in the module", len(all))
	}
	return all
}

func parseModule() (map[string][]*file, error) {
	all := map[string][]*file{}
	set := token.NewFileSet()
	err := filepath.WalkDir(".", func(name string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && skipped(name):
			return fs.SkipDir
		case d.IsDir() || !strings.HasSuffix(name, ".go") || strings.HasSuffix(name, "_test.go"):
			return nil
		}
		text, err := os.ReadFile(name)
		if err != nil {
			return err
		}
		tree, err := parser.ParseFile(set, filepath.ToSlash(name), text, parser.ParseComments)
		if err != nil {
			return err
		}
		dir := strings.TrimPrefix(filepath.ToSlash(filepath.Dir(name)), ".")
		all[dir] = append(all[dir], &file{name: name, text: text, tree: tree, set: set})
		return nil
	})
	return all, err
}

// skipped tells whether a folder holds no package of this module: other modules, data, hidden folders.
func skipped(dir string) bool {
	base := filepath.Base(dir)
	return dir != "." && (strings.HasPrefix(base, ".") || strings.HasPrefix(base, "_") || base == "testdata" || base == "tools")
}

// nodes are the nodes of type N below n.
func nodes[N ast.Node](n ast.Node) iter.Seq[N] {
	return func(yield func(N) bool) {
		for found := range ast.Preorder(n) {
			if found, ok := found.(N); ok && !yield(found) {
				return
			}
		}
	}
}

// isNamed tells whether an expression is that name, or a field of that name.
func isNamed(x ast.Expr, name string) bool {
	switch x := x.(type) {
	case *ast.Ident:
		return x.Name == name
	case *ast.SelectorExpr:
		return x.Sel.Name == name
	}
	return false
}

// resolve tells what each name in a package stands for, as far as one package alone can tell: imports stay unknown.
func resolve(files []*file) map[*ast.Ident]types.Object {
	trees := make([]*ast.File, len(files))
	for i, f := range files {
		trees[i] = f.tree
	}
	info := &types.Info{Uses: map[*ast.Ident]types.Object{}}
	conf := types.Config{Error: func(error) {}, Importer: noImports{}, IgnoreFuncBodies: false}
	_, _ = conf.Check("p", files[0].set, trees, info)
	return info.Uses
}

type noImports struct{}

func (noImports) Import(path string) (*types.Package, error) {
	return types.NewPackage(path, path[strings.LastIndexByte(path, '/')+1:]), nil
}

// assigned are the expressions that a file's functions write to.
func assigned(tree *ast.File) []ast.Expr {
	var targets []ast.Expr
	for n := range ast.Preorder(tree) {
		switch n := n.(type) {
		case *ast.AssignStmt:
			if n.Tok != token.DEFINE {
				targets = append(targets, n.Lhs...)
			}
		case *ast.IncDecStmt:
			targets = append(targets, n.X)
		case *ast.RangeStmt:
			if n.Tok == token.ASSIGN {
				targets = append(targets, n.Key, n.Value)
			}
		}
	}
	return targets
}

// root is the name that an expression such as a.b[i] begins with, or nil.
func root(x ast.Expr) *ast.Ident {
	switch x := x.(type) {
	case *ast.Ident:
		return x
	case *ast.IndexExpr:
		return root(x.X)
	case *ast.SelectorExpr:
		return root(x.X)
	case *ast.StarExpr:
		return root(x.X)
	case *ast.ParenExpr:
		return root(x.X)
	}
	return nil
}
