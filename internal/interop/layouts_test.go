package interop_test

import (
	"bytes"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"testing"
)

// TestInteropExportOCI: oras and crane read what mstore exports as an OCI layout, and oras adds to it.
func TestInteropExportOCI(t *testing.T) {
	store, in, out, layout := t.TempDir(), model(t, 6), t.TempDir(), filepath.Join(t.TempDir(), "layout")
	digest := digestOf(t, mstore(t, store, "import", in, "--as", "me/model:v1"))
	mstore(t, store, "export", "me/model:v1", layout, "--layout", "oci")
	if got := oras(t, "", "resolve", "--oci-layout", layout+":v1"); got != digest {
		t.Errorf("oras resolves %s, mstore exported %s", got, digest)
	}
	oras(t, out, "pull", "--oci-layout", layout+":v1")
	wantSame(t, in, out)

	other := model(t, 7)
	oras(t, other, append([]string{"push", "--oci-layout", layout + ":theirs", "--artifact-type", "application/vnd.example"}, names(t, other)...)...)
	mstore(t, store, "export", "me/model:v1", layout, "--layout", "oci")
	back := t.TempDir()
	oras(t, back, "pull", "--oci-layout", layout+":theirs")
	wantSame(t, other, back)

	alone, ref := filepath.Join(t.TempDir(), "layout"), registries["distribution"](t)+"/from/layout:v1"
	mstore(t, store, "export", "me/model:v1", alone, "--layout", "oci", "--mode", "copy")
	crane(t, "push", alone, ref)
	if got := crane(t, "digest", ref); got != digest {
		t.Errorf("crane pushed %s, mstore exported %s", got, digest)
	}
}

// look opens a model in a Hugging Face cache and prints where, and where a file of it is. It is written for any release
// since 0.20.
const look = `
import json, sys
from huggingface_hub import hf_hub_download, scan_cache_dir, snapshot_download
repo, revision, cache, file = sys.argv[1:5]
print(json.dumps({
    "snapshot": snapshot_download(repo, revision=revision, cache_dir=cache, local_files_only=True),
    "file": hf_hub_download(repo, file, revision=revision, cache_dir=cache, local_files_only=True),
    "warnings": [str(w) for w in scan_cache_dir(cache).warnings],
    "repos": sorted(r.repo_id for r in scan_cache_dir(cache).repos),
}))
`

// TestInteropHuggingFace: Hugging Face's own library finds, without a network, what mstore exports as a cache.
func TestInteropHuggingFace(t *testing.T) {
	python := huggingFace(t)
	store, in, cache := t.TempDir(), model(t, 8), filepath.Join(t.TempDir(), "hub")
	mstore(t, store, "import", in, "--as", "me/model:v1")
	mstore(t, store, "export", "me/model:v1", cache, "--layout", "hf")
	for _, revision := range []string{"v1", "main"} {
		cmd := exec.CommandContext(t.Context(), python, "-c", look, "me/model", revision, cache, "sub/deeper/vocab.txt")
		cmd.Env = append(os.Environ(), "HF_HUB_OFFLINE=1", "HF_HOME="+t.TempDir())
		var stderr bytes.Buffer
		cmd.Stderr = &stderr
		raw, err := cmd.Output()
		if err != nil {
			t.Fatalf("%v\n%s", err, &stderr)
		}
		var got struct {
			Snapshot, File  string
			Warnings, Repos []string
		}
		if err := json.Unmarshal(raw, &got); err != nil {
			t.Fatalf("%v: %s", err, raw)
		}
		wantSame(t, in, got.Snapshot)
		if err := sameBytes(filepath.Join(in, "sub", "deeper", "vocab.txt"), got.File); err != nil {
			t.Error(err)
		}
		if len(got.Warnings) > 0 || !slices.Equal(got.Repos, []string{"me/model"}) {
			t.Errorf("the cache has %q, and is warned about with %q", got.Repos, got.Warnings)
		}
	}
}

// huggingFace makes a virtual environment of Python with huggingface_hub, and gives its interpreter. It is made in
// `make interop` alone, and only where Python and its package index can be had.
func huggingFace(t *testing.T) string {
	t.Helper()
	if os.Getenv("MSTORE_INTEROP") != "large" {
		t.Skip("installs huggingface_hub from Python's package index: run by make interop")
	}
	system, err := exec.LookPath("python3")
	if err != nil {
		t.Skip("python3 is not installed")
	}
	dir := filepath.Join(t.TempDir(), "venv")
	for _, args := range [][]string{
		{system, "-m", "venv", dir},
		{filepath.Join(dir, "bin", "python"), "-m", "pip", "install", "--quiet", "huggingface_hub"},
	} {
		if out, err := exec.CommandContext(t.Context(), args[0], args[1:]...).CombinedOutput(); err != nil {
			t.Skipf("%q: %v: huggingface_hub cannot be had here\n%s", args, err, out)
		}
	}
	return filepath.Join(dir, "bin", "python")
}
