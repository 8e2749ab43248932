// Package interop_test lets mstore meet foreign programs: two registries and two clients, on models of a few megabytes,
// or of hundreds with MSTORE_INTEROP=large (make interop).
package interop_test

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/mstore/mstore/internal/registrytest"
)

// mstoreBinary is the command, built once for all tests.
var mstoreBinary string

func TestMain(m *testing.M) {
	code, err := withCommand(m.Run)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	os.Exit(code)
}

func withCommand(run func() int) (code int, err error) {
	dir, err := os.MkdirTemp("", "interop-")
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	mstoreBinary = filepath.Join(dir, "mstore")
	if runtime.GOOS == "windows" {
		mstoreBinary += ".exe"
	}
	build := exec.Command("go", "build", "-buildvcs=false", "-o", mstoreBinary, "github.com/mstore/mstore/cmd/mstore")
	if out, err := build.CombinedOutput(); err != nil {
		return 0, fmt.Errorf("%w: %s", err, out)
	}
	return run(), nil
}

// weights is the size of one file of weights.
func weights() int64 {
	const megabyte = 1 << 20
	if os.Getenv("MSTORE_INTEROP") == "large" {
		return 200 * megabyte
	}
	return 2 * megabyte
}

// model makes a folder with what models have: large files, small ones, a sub-folder, an empty file, a name in Unicode.
// The bytes of seed are the same each time.
func model(t *testing.T, seed uint64) string {
	t.Helper()
	dir := t.TempDir()
	for i, name := range []string{"model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors"} {
		random(t, filepath.Join(dir, name), weights(), seed+uint64(i))
	}
	for name, text := range map[string]string{
		"config.json": fmt.Sprintf(`{"model_type":"none","seed":%d}`, seed), "empty": "", "Größe.md": "Ü\n", "sub/deeper/vocab.txt": "a\nb\n",
	} {
		path := filepath.Join(dir, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func random(t *testing.T, path string, size int64, seed uint64) {
	t.Helper()
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	w, source := bufio.NewWriterSize(f, 1<<20), rand.NewPCG(seed, seed)
	for range size / 8 {
		_, _ = w.Write(binary.LittleEndian.AppendUint64(w.AvailableBuffer(), source.Uint64()))
	}
	if err := errors.Join(w.Flush(), f.Close()); err != nil {
		t.Fatal(err)
	}
}

// mstore runs the command on a store and gives the first line of what it printed.
func mstore(t *testing.T, store string, args ...string) string {
	t.Helper()
	return run(t, "", mstoreBinary, append([]string{"--store", store}, args...)...)
}

// oras and crane run the foreign clients, in a folder.
func oras(t *testing.T, dir string, args ...string) string {
	t.Helper()
	return run(t, dir, registrytest.Tool(t, "oras"), args...)
}

func crane(t *testing.T, args ...string) string {
	t.Helper()
	return run(t, "", registrytest.Tool(t, "crane"), append(args, "--insecure")...)
}

func run(t *testing.T, dir, program string, args ...string) string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), program, args...)
	var stdout, stderr bytes.Buffer
	cmd.Dir, cmd.Stdout, cmd.Stderr = dir, &stdout, &stderr
	if err := cmd.Run(); err != nil {
		t.Fatalf("%s %q: %v\n%s%s", filepath.Base(program), args, err, &stdout, &stderr)
	}
	line, _, _ := strings.Cut(stdout.String(), "\n")
	return line
}

// digestOf is what stands behind the @ of what mstore printed.
func digestOf(t *testing.T, line string) string {
	t.Helper()
	_, digest, ok := strings.Cut(line, "@sha256:")
	if !ok {
		t.Fatalf("mstore printed %q, without a digest", line)
	}
	return "sha256:" + digest
}

// wantSame compares two folders, names and bytes, without holding files in memory.
func wantSame(t *testing.T, want, got string) {
	t.Helper()
	a, b := names(t, want), names(t, got)
	if len(a) == 0 || strings.Join(a, "\n") != strings.Join(b, "\n") {
		t.Fatalf("the folders have different files:\nwant %q\n got %q", a, b)
	}
	for _, name := range a {
		if err := sameBytes(filepath.Join(want, name), filepath.Join(got, name)); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func names(t *testing.T, dir string) []string {
	t.Helper()
	var all []string
	err := fs.WalkDir(os.DirFS(dir), ".", func(name string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			all = append(all, name)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

func sameBytes(one, two string) error {
	a, err := os.Open(one)
	if err != nil {
		return err
	}
	defer func() { _ = a.Close() }()
	b, err := os.Open(two)
	if err != nil {
		return err
	}
	defer func() { _ = b.Close() }()
	const piece = 1 << 20
	x, y := make([]byte, piece), make([]byte, piece)
	for {
		n, errX := io.ReadFull(a, x)
		m, errY := io.ReadFull(b, y)
		if !bytes.Equal(x[:n], y[:m]) {
			return errors.New("other bytes")
		}
		if errX != nil || errY != nil {
			return nil // both at the end, for the lengths are the same
		}
	}
}
