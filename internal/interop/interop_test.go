package interop_test

import (
	"path/filepath"
	"slices"
	"testing"

	"github.com/mstore/mstore/internal/registrytest"
)

// registries are the two implementations that everything is tried against.
var registries = map[string]func(t *testing.T) string{
	"distribution": func(t *testing.T) string { t.Helper(); return registrytest.Start(t, registrytest.Options{}).Host },
	"crane":        func(t *testing.T) string { t.Helper(); return registrytest.StartCrane(t).Host },
}

// TestInteropPush: what mstore pushes, oras gets as the same files by the same names, and crane by the same digest.
func TestInteropPush(t *testing.T) {
	for name, start := range registries {
		t.Run(name, func(t *testing.T) {
			store, in, out := t.TempDir(), model(t, 1), t.TempDir()
			ref := start(t) + "/org/model:v1"
			digest := digestOf(t, mstore(t, store, "import", in, "--as", "model:v1"))
			mstore(t, store, "push", "model:v1", ref)
			oras(t, out, "pull", "--plain-http", ref)
			wantSame(t, in, out)
			if got := crane(t, "digest", ref); got != digest {
				t.Errorf("crane sees %s, mstore pushed %s", got, digest)
			}
		})
	}
}

// TestInteropPull: what oras pushes, mstore pulls and exports as the same files.
func TestInteropPull(t *testing.T) {
	for name, start := range registries {
		t.Run(name, func(t *testing.T) {
			store, in, out := t.TempDir(), model(t, 2), filepath.Join(t.TempDir(), "out")
			ref := start(t) + "/org/model:v1"
			files := names(t, in)
			slices.Sort(files)
			oras(t, in, append([]string{"push", "--plain-http", "--artifact-type", "application/vnd.example", ref}, files...)...)
			pulled := mstore(t, store, "pull", ref)
			if got, want := digestOf(t, pulled), crane(t, "digest", ref); got != want {
				t.Errorf("mstore pulled %s, crane sees %s", got, want)
			}
			mstore(t, store, "export", ref, out)
			wantSame(t, in, out)
		})
	}
}

// TestInteropStoreIsALayout: oras reads a store as it stands.
func TestInteropStoreIsALayout(t *testing.T) {
	store, in, out := t.TempDir(), model(t, 3), t.TempDir()
	digest := digestOf(t, mstore(t, store, "import", in, "--as", "model:v1"))
	oras(t, out, "pull", "--oci-layout", store+"@"+digest)
	wantSame(t, in, out)
}

// TestInteropLayoutIsASource: mstore pulls from a layout that oras made.
func TestInteropLayoutIsASource(t *testing.T) {
	store, in, layout, out := t.TempDir(), model(t, 4), filepath.Join(t.TempDir(), "layout"), filepath.Join(t.TempDir(), "out")
	oras(t, in, append([]string{"push", "--oci-layout", layout + ":v1", "--artifact-type", "application/vnd.example"}, names(t, in)...)...)
	mstore(t, store, "pull", "oci-layout:"+layout+":v1", "--as", "model:v1")
	mstore(t, store, "export", "model:v1", out)
	wantSame(t, in, out)
}

// TestInteropBetweenRegistries: a model that crane copied to another registry is the same model, and nothing of it is
// fetched where it is already.
func TestInteropBetweenRegistries(t *testing.T) {
	store, other, in := t.TempDir(), t.TempDir(), model(t, 5)
	from := registries["distribution"](t) + "/a/model:v1"
	to := registries["crane"](t) + "/b/model:v1"
	digest := digestOf(t, mstore(t, store, "import", in, "--as", "model:v1"))
	mstore(t, store, "push", "model:v1", from)
	crane(t, "copy", from, to)
	for _, s := range []string{store, other} {
		if got := digestOf(t, mstore(t, s, "pull", to)); got != digest {
			t.Errorf("pulled %s, want %s", got, digest)
		}
		mstore(t, s, "verify")
	}
	out := filepath.Join(t.TempDir(), "out")
	mstore(t, other, "export", to, out)
	wantSame(t, in, out)
}
