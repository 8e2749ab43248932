//go:build unix

package local_test

import (
	"errors"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/mstore/mstore/fetch/local"
	"github.com/mstore/mstore/fetch/source"
)

// TestSpecialFiles: what is no file is refused without being opened, named by the user or found in a folder.
func TestSpecialFiles(t *testing.T) {
	dir := write(t, t.TempDir(), map[string]string{"with a pipe/a": "x", "with a socket/a": "x"})
	pipe, socket := filepath.Join(dir, "with a pipe", "p"), filepath.Join(dir, "with a socket", "s")
	if err := syscall.Mkfifo(pipe, 0o600); err != nil {
		t.Fatal(err)
	}
	listener, err := (&net.ListenConfig{}).Listen(t.Context(), "unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	for path, kind := range map[string]string{
		pipe: "a pipe", socket: "a socket", "/dev/null": "a device", filepath.Dir(pipe): "a pipe", filepath.Dir(socket): "a socket",
	} {
		_, err := local.Files{}.Resolve(t.Context(), path, source.Options{})
		if !errors.Is(err, local.ErrPath) || !strings.Contains(err.Error(), kind) {
			t.Errorf("%s = %v, want ErrPath that says %q", path, err, kind)
		}
	}
}

// TestAHostileLayout plants in a layout's folder, under the layout's own names, what must not be followed or opened.
func TestAHostileLayout(t *testing.T) {
	for name, plant := range map[string]func(path string) error{
		"a pipe": func(p string) error { return syscall.Mkfifo(p, 0o666) },
		"a link to the bytes": func(p string) error {
			return errors.Join(os.Rename(p+".away", p+".real"), os.Symlink(p+".real", p))
		},
		"a device by a link": func(p string) error { return os.Symlink("/dev/zero", p) },
		"a folder":           func(p string) error { return os.Mkdir(p, 0o700) },
	} {
		for _, file := range []string{"oci-layout", "index.json", "manifest"} {
			t.Run(name+" as "+file, func(t *testing.T) {
				l := newLayout(t)
				top := l.model("v1", map[string]string{"f": "x"})
				l.save()
				path := filepath.Join(l.dir, file)
				if file == "manifest" {
					path = l.blob(top.Digest)
				}
				if err := errors.Join(os.Rename(path, path+".away"), plant(path)); err != nil {
					t.Fatal(err)
				}
				if _, err := (local.Layout{}).Resolve(t.Context(), l.dir, source.Options{}); !errors.Is(err, local.ErrPath) {
					t.Errorf("Resolve = %v, want ErrPath", err)
				}
			})
		}
		t.Run(name+" as a blob", func(t *testing.T) {
			l := newLayout(t)
			l.model("v1", map[string]string{"f": "x"})
			l.save()
			m, err := local.Layout{}.Resolve(t.Context(), l.dir, source.Options{})
			if err != nil {
				t.Fatal(err)
			}
			desc := m.Manifest.Files[0].Descriptor
			path := l.blob(desc.Digest)
			if err := errors.Join(os.Rename(path, path+".away"), plant(path)); err != nil {
				t.Fatal(err)
			}
			answer, err := m.Origins(desc)[0].Fetch(t.Context(), 0, -1)
			if !errors.Is(err, local.ErrPath) {
				t.Errorf("Fetch = %v, want ErrPath", err)
			}
			if err == nil {
				_, _ = io.Copy(io.Discard, answer.Body)
			}
		})
	}
}

// TestPipesOfOtherTools: nobody waits at a pipe that has the name of a blob, a ref or a manifest.
func TestPipesOfOtherTools(t *testing.T) {
	for _, name := range []string{
		"models--m/refs/main", "models--m/blobs/" + gitOID("{}"), "models--m/snapshots/" + commit + "/sub/p",
		"models--m/trees/" + commit + ".json",
	} {
		dir := t.TempDir()
		hub(t, dir, "m", commit, hubFiles())
		write(t, dir, map[string]string{"models--m/refs/main": commit, "models--m/trees/x": ""})
		path := filepath.Join(dir, name)
		_ = os.Remove(path)
		try(t, syscall.Mkfifo(path, 0o600))
		m, err := local.HFCache{Dir: dir}.Resolve(t.Context(), "m", source.Options{})
		if strings.Contains(name, "trees") { // the list is a favour
			if err != nil || m.Revision != "" {
				t.Errorf("%s: %+v, %v", name, m, err)
			}
		} else if !errors.Is(err, local.ErrPath) {
			t.Errorf("%s: %v, want ErrPath", name, err)
		}
	}
	const at = "manifests/registry.ollama.ai/library/m/t"
	for _, name := range []string{at, "manifests-v2/ollama.com/library/m/t"} {
		dir := t.TempDir()
		ollama(t, dir, at, "GGUF")
		path := filepath.Join(dir, name)
		_ = os.Remove(path)
		try(t, os.MkdirAll(filepath.Dir(path), 0o755), syscall.Mkfifo(path, 0o600))
		if _, err := (local.OllamaStore{Dir: dir}).Resolve(t.Context(), "m:t", source.Options{}); !errors.Is(err, local.ErrPath) {
			t.Errorf("%s: %v, want ErrPath", name, err)
		}
	}
}
