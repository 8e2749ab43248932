//go:build unix

package export_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/mstore/mstore/blobstore"
	"github.com/mstore/mstore/blobstore/storetest"
	"github.com/mstore/mstore/export"
	"github.com/mstore/mstore/manifest"
)

// TestMain lets the test binary be another process: EXPORT_TEST names what it does.
func TestMain(m *testing.M) {
	act, ok := acts[os.Getenv("EXPORT_TEST")]
	if !ok {
		os.Exit(m.Run())
	}
	if err := act(os.Getenv("EXPORT_TEST_STORE"), os.Getenv("EXPORT_TEST_DIR"), os.Getenv("EXPORT_TEST_MANIFEST")); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

var acts = map[string]func(store, dir, manifest string) error{
	"export and hang": func(root, dir, d string) error {
		store, m, err := load(root, d)
		if err != nil {
			return err
		}
		return export.Files(context.Background(), store, m, dir, export.Options{Mode: export.Copy, Progress: func(int64) {
			fmt.Println("copying")
			select {}
		}})
	},
	"views": func(root, _, d string) error {
		store, m, err := load(root, d)
		if err != nil {
			return err
		}
		views, err := export.OpenViews(store)
		if err != nil {
			return err
		}
		for i := range 20 {
			if _, err := views.Make(context.Background(), m); err != nil {
				return fmt.Errorf("make: %w", err)
			}
			if _, err := views.List(); err != nil {
				return fmt.Errorf("list: %w", err)
			}
			if i%3 == os.Getpid()%3 {
				if err := views.Remove(m.Descriptor.Digest); err != nil {
					return fmt.Errorf("remove: %w", err)
				}
			}
		}
		_, err = views.Make(context.Background(), m)
		return err
	},
	"user": asUser,
}

func load(root, d string) (*blobstore.Store, *manifest.Manifest, error) {
	store, err := blobstore.Open(root, blobstore.Options{})
	if err != nil {
		return nil, nil, err
	}
	raw, err := store.ReadAll(digest.Digest(d), manifest.MaxSize)
	if err != nil {
		return nil, nil, err
	}
	m, err := manifest.Parse("", raw)
	return store, m, err
}

// asUser is what a user who is not root gets: hard links, read-only, that share the inode.
func asUser(root, dir, _ string) error {
	store, err := blobstore.Open(root, blobstore.Options{})
	if err != nil {
		return err
	}
	defer store.Close()
	content := "weights"
	desc := ocispec.Descriptor{Digest: digest.FromString(content), Size: int64(len(content))}
	if err := store.Push(context.Background(), desc, strings.NewReader(content)); err != nil {
		return err
	}
	m := &manifest.Manifest{Files: []manifest.File{
		{Path: "sub/w", Descriptor: desc}, {Path: "m.onnx", Descriptor: desc}, {Path: "m.onnx_data", Descriptor: desc},
	}}
	if err := export.Files(context.Background(), store, m, dir, export.Options{}); err != nil {
		return err
	}
	for name, want := range map[string]string{"sub/w": "-r--r--r-- 3", "m.onnx": "-r--r--r-- 3", "m.onnx_data": "-rw-r--r-- 1"} {
		info, err := os.Lstat(filepath.Join(dir, name))
		if err != nil {
			return err
		}
		links := info.Sys().(*syscall.Stat_t).Nlink // the blob, sub/w and m.onnx are one file
		if got := fmt.Sprintf("%v %d", info.Mode(), links); got != want {
			return fmt.Errorf("%s is %s, want %s", name, got, want)
		}
	}
	return nil
}

// process starts the test binary as another process.
func process(t *testing.T, binary, act string, store, dir string, m *manifest.Manifest) *exec.Cmd {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), binary)
	cmd.Env = append(os.Environ(), "EXPORT_TEST="+act, "EXPORT_TEST_STORE="+store, "EXPORT_TEST_DIR="+dir)
	if m != nil {
		cmd.Env = append(cmd.Env, "EXPORT_TEST_MANIFEST="+m.Descriptor.Digest.String())
	}
	cmd.Stderr = os.Stderr
	return cmd
}

func TestAKilledExportIsFinishedByTheNext(t *testing.T) {
	store := storetest.New(t)
	files := small()
	files["big"] = random(20<<20, 1)
	m := model(t, store, files)
	put(t, store, m.Raw)
	dir := t.TempDir()
	child := process(t, os.Args[0], "export and hang", store.Root(), dir, m)
	out, err := child.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := child.Start(); err != nil {
		t.Fatal(err)
	}
	if line, err := bufio.NewReader(out).ReadString('\n'); err != nil {
		t.Fatalf("the child said %q: %v", line, err)
	}

	// While the child lives, its private folder is left alone.
	other := model(t, store, map[string]string{"other": "model"})
	if err := export.Files(t.Context(), store, other, dir, export.Options{}); err != nil {
		t.Fatal(err)
	}
	if private := stages(t, dir); len(private) != 2 {
		t.Errorf("a living export has %q", private)
	}
	if err := child.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = child.Wait()

	if err := export.Files(t.Context(), store, m, dir, export.Options{}); err != nil {
		t.Fatal(err)
	}
	files["other"] = "model"
	wantFiles(t, dir, files)
}

func stages(t *testing.T, dir string) []string {
	t.Helper()
	var private []string
	for _, name := range names(t, dir) {
		if strings.HasPrefix(name, ".mstore-") {
			private = append(private, name)
		}
	}
	return private
}

func TestAutoOfAUserIsAHardLink(t *testing.T) {
	if os.Geteuid() != 0 {
		if err := asUser(filepath.Join(t.TempDir(), "store"), t.TempDir(), ""); err != nil {
			t.Error(err)
		}
		return
	}
	const nobody = 65534
	dir, err := os.MkdirTemp("/tmp", "export-user") //nolint:usetesting // t.TempDir is closed to other users
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	if err := os.Chown(dir, nobody, nobody); err != nil {
		t.Fatal(err)
	}
	binary := filepath.Join(dir, "test")
	if err := copyFile(os.Args[0], binary); err != nil {
		t.Fatal(err)
	}
	child := process(t, binary, "user", filepath.Join(dir, "store"), filepath.Join(dir, "out"), nil)
	child.Dir = dir
	child.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: nobody, Gid: nobody}}
	if err := child.Run(); err != nil {
		t.Error(err)
	}
}

func copyFile(from, to string) error {
	src, err := os.Open(from)
	if err != nil {
		return err
	}
	defer src.Close()
	dst, err := os.OpenFile(to, os.O_CREATE|os.O_WRONLY, 0o755)
	if err != nil {
		return err
	}
	if _, err := io.Copy(dst, src); err != nil {
		return err
	}
	return dst.Close()
}
