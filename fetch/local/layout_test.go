package local_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/mstore/mstore/fetch/local"
	"github.com/mstore/mstore/fetch/source"
	"github.com/mstore/mstore/fetch/transfer"
	"github.com/mstore/mstore/internal/key"
	"github.com/mstore/mstore/internal/memsink"
	"github.com/mstore/mstore/manifest"
)

// contents fetches the files of a model from its origins, each from an offset on.
func contents(t *testing.T, m *source.Model) map[string]string {
	t.Helper()
	got := make(map[string]string)
	for _, f := range m.Manifest.Files {
		for from := range min(f.Descriptor.Size, 3) + 1 {
			s := memsink.New(int(f.Descriptor.Size), make([]byte, from))
			if _, err := transfer.New(transfer.Limits{}).Run(t.Context(), s, m.Origins(f.Descriptor), transfer.Options{}); err != nil {
				t.Fatal(err)
			}
			data, _ := s.Bytes()
			if from == 0 {
				got[f.Path] = string(data)
			} else if string(data[from:]) != got[f.Path][from:] {
				t.Errorf("%s from %d on is %q", f.Path, from, data[from:])
			}
		}
	}
	return got
}

func TestLayout(t *testing.T) {
	l := newLayoutAt(t, filepath.Join(t.TempDir(), "C:odd@name:v1"))
	files := map[string]string{"config.json": "{}", "deep/w.bin": "weights", "empty": ""}
	v1 := l.model("v1", files)
	v2 := l.model("v2", map[string]string{"f": "2"})
	full := l.model("ghcr.io/org/model:v3", map[string]string{"f": "3"})
	unlisted := l.unlisted(map[string]string{"f": "4"})
	l.save()
	base := filepath.Base(l.dir)
	for ref, want := range map[string]source.Model{
		l.dir + ":v1":                              {Name: base + ":v1", Digest: v1.Digest},
		l.dir + ":v2":                              {Name: base + ":v2", Digest: v2.Digest},
		l.dir + ":ghcr.io/org/model:v3":            {Name: "ghcr.io/org/model:v3", Digest: full.Digest},
		l.dir + "@" + v2.Digest.String():           {Name: base + "@" + v2.Digest.String(), Digest: v2.Digest},
		l.dir + "@" + unlisted.Digest.String():     {Name: base + "@" + unlisted.Digest.String(), Digest: unlisted.Digest},
		l.dir + "/../" + base + ":v1":              {Name: base + ":v1", Digest: v1.Digest},
		filepath.Dir(l.dir) + "/./" + base + ":v2": {Name: base + ":v2", Digest: v2.Digest},
	} {
		m, err := local.Layout{}.Resolve(t.Context(), ref, source.Options{})
		if err != nil {
			t.Errorf("%s: %v", ref, err)
			continue
		}
		suffix := strings.TrimPrefix(ref[strings.LastIndex(ref, base):], base)
		if m.Name != want.Name || m.Digest != want.Digest || m.Manifest.Descriptor.Digest != want.Digest || m.Reference != "oci-layout:"+l.dir+suffix {
			t.Errorf("%s is %q, %s, %q", ref, m.Name, m.Digest, m.Reference)
		}
		if want.Digest == v1.Digest {
			if got := contents(t, m); fmt.Sprint(got) != fmt.Sprint(files) {
				t.Errorf("files %v, want %v", got, files)
			}
		}
	}
}

func TestLayoutWithoutATag(t *testing.T) {
	l := newLayout(t)
	only := l.model("", map[string]string{"f": "1"})
	l.save()
	m, err := local.Layout{}.Resolve(t.Context(), l.dir, source.Options{})
	if err != nil || m.Digest != only.Digest || m.Name != "layout:latest" {
		t.Fatalf("the only manifest: %+v, %v", m, err)
	}
	l.model("v1", map[string]string{"f": "2"})
	l.save()
	if _, err := (local.Layout{}).Resolve(t.Context(), l.dir, source.Options{}); !errors.Is(err, local.ErrNotFound) || !strings.Contains(err.Error(), `"v1"`) {
		t.Errorf("one of several = %v, want ErrNotFound that lists them", err)
	}
	latest := l.model("latest", map[string]string{"f": "3"})
	l.save()
	if m, err := (local.Layout{}).Resolve(t.Context(), l.dir, source.Options{}); err != nil || m.Digest != latest.Digest {
		t.Errorf("latest of several: %+v, %v", m, err)
	}
}

func TestLayoutThatDidNotChange(t *testing.T) {
	l := newLayout(t)
	top := l.model("v1", map[string]string{"f": "1"})
	l.save()
	m, err := local.Layout{}.Resolve(t.Context(), l.dir+":v1", source.Options{Have: top.Digest})
	if err != nil || !m.Unchanged || m.Digest != top.Digest || m.Manifest != nil {
		t.Errorf("Resolve = %+v, %v", m, err)
	}
}

func TestLayoutWithIndexes(t *testing.T) {
	l := newLayout(t)
	linux, other := l.unlisted(map[string]string{"f": "mine"}), l.unlisted(map[string]string{"f": "other"})
	linux.Platform = &ocispec.Platform{OS: "linux", Architecture: runtime.GOARCH}
	other.Platform = &ocispec.Platform{OS: "plan9", Architecture: "mips"}
	l.list("multi", l.nested(other, linux))
	l.list("both", linux)
	l.list("both", other)
	l.save()
	for _, tag := range []string{"multi", "both"} {
		for platform, want := range map[*ocispec.Platform]digest.Digest{nil: linux.Digest, other.Platform: other.Digest} {
			m, err := local.Layout{}.Resolve(t.Context(), l.dir+":"+tag, source.Options{Platform: platform})
			if err != nil || m.Manifest.Descriptor.Digest != want {
				t.Errorf("%s for %v = %+v, %v", tag, platform, m, err)
			}
		}
		none := &ocispec.Platform{OS: "none", Architecture: "none"}
		if _, err := (local.Layout{}).Resolve(t.Context(), l.dir+":"+tag, source.Options{Platform: none}); !errors.Is(err, manifest.ErrNoPlatform) {
			t.Errorf("%s for no platform = %v", tag, err)
		}
	}
}

func TestIndexesInIndexes(t *testing.T) {
	for depth, want := range map[int]error{1: nil, manifest.MaxDepth: nil, manifest.MaxDepth + 1: manifest.ErrMalformed, 20: manifest.ErrMalformed} {
		l := newLayout(t)
		desc := l.unlisted(map[string]string{"f": "x"})
		for range depth {
			desc = l.nested(desc)
		}
		l.list("deep", desc)
		l.save()
		if _, err := (local.Layout{}).Resolve(t.Context(), l.dir+":deep", source.Options{}); !errors.Is(err, want) {
			t.Errorf("%d indexes = %v, want %v", depth, err, want)
		}
	}
}

// TestAnIndexOfItself: no index can have its own digest in it, so one that seems to is a lie that the digest tells.
func TestAnIndexOfItself(t *testing.T) {
	l := newLayout(t)
	desc := l.nested(l.unlisted(map[string]string{"f": "x"}))
	circle := l.nested(desc)
	if err := os.Rename(l.blob(circle.Digest), l.blob(desc.Digest)); err != nil {
		t.Fatal(err)
	}
	l.list("circle", desc)
	l.save()
	if _, err := (local.Layout{}).Resolve(t.Context(), l.dir+":circle", source.Options{}); !errors.Is(err, manifest.ErrMalformed) {
		t.Errorf("Resolve = %v, want ErrMalformed", err)
	}
}

func TestLayoutsThatAreNone(t *testing.T) {
	for name, c := range map[string]struct {
		damage func(l *layout, top ocispec.Descriptor) error
		want   error
	}{
		"no marker":      {func(l *layout, _ ocispec.Descriptor) error { return os.Remove(l.dir + "/oci-layout") }, local.ErrPath},
		"no index":       {func(l *layout, _ ocispec.Descriptor) error { return os.Remove(l.dir + "/index.json") }, local.ErrPath},
		"another marker": {overwrite("oci-layout", "{}"), local.ErrPath},
		"a newer layout": {overwrite("oci-layout", `{"imageLayoutVersion":"2.0.0"}`), local.ErrPath},
		"a big marker":   {overwrite("oci-layout", strings.Repeat(" ", 5000)+`{"imageLayoutVersion":"1.0.0"}`), manifest.ErrMalformed},
		"no JSON":        {overwrite("index.json", "garbage"), manifest.ErrMalformed},
		"a big index":    {overwrite("index.json", strings.Repeat(" ", manifest.MaxSize+1)), manifest.ErrMalformed},
		"no manifest":    {func(l *layout, top ocispec.Descriptor) error { return os.Remove(l.blob(top.Digest)) }, local.ErrNotFound},
		"other bytes": {func(l *layout, top ocispec.Descriptor) error {
			raw, err := os.ReadFile(l.blob(top.Digest))
			return errors.Join(err, os.WriteFile(l.blob(top.Digest), append(raw, ' '), 0o600))
		}, manifest.ErrMalformed},
		"another size": {func(l *layout, _ ocispec.Descriptor) error {
			l.index.Manifests[0].Size++
			l.save()
			return nil
		}, manifest.ErrMalformed},
		"another media type": {func(l *layout, _ ocispec.Descriptor) error {
			l.index.Manifests[0].MediaType = manifest.MediaTypeDockerManifest
			l.save()
			return nil
		}, manifest.ErrMalformed},
	} {
		t.Run(name, func(t *testing.T) {
			l := newLayout(t)
			top := l.model("v1", map[string]string{"f": "x"})
			l.save()
			if err := c.damage(l, top); err != nil {
				t.Fatal(err)
			}
			if _, err := (local.Layout{}).Resolve(t.Context(), l.dir+":v1", source.Options{}); !errors.Is(err, c.want) {
				t.Errorf("Resolve = %v, want %v", err, c.want)
			}
		})
	}
}

func overwrite(file, content string) func(l *layout, _ ocispec.Descriptor) error {
	return func(l *layout, _ ocispec.Descriptor) error {
		return os.WriteFile(filepath.Join(l.dir, file), []byte(content), 0o600)
	}
}

func TestLayoutReferences(t *testing.T) {
	l := newLayout(t)
	l.model("v1", map[string]string{"f": "x"})
	l.save()
	for ref, want := range map[string]error{
		l.dir + ":none":                       local.ErrNotFound,
		l.dir + ":":                           local.ErrPath,
		l.dir + "@sha256:../../../etc/passwd": key.ErrInvalid,
		l.dir + "@":                           key.ErrInvalid,
		l.dir + "@" + string(digest.FromString("")): local.ErrNotFound,
		filepath.Join(l.dir, "none"):                fs.ErrNotExist,
		filepath.Join(l.dir, "index.json"):          fs.ErrNotExist,
		"":                                          fs.ErrNotExist,
		":":                                         fs.ErrNotExist,
	} {
		if m, err := (local.Layout{}).Resolve(t.Context(), ref, source.Options{}); !errors.Is(err, want) {
			t.Errorf("%q = %+v, %v; want %v", ref, m, err, want)
		}
	}
}

func TestBlobsOfALayout(t *testing.T) {
	l := newLayout(t)
	l.model("v1", map[string]string{"f": "0123456789"})
	l.save()
	m, err := local.Layout{}.Resolve(t.Context(), l.dir, source.Options{})
	if err != nil {
		t.Fatal(err)
	}
	desc := m.Manifest.Files[0].Descriptor
	origin, _ := m.Origins(desc)[0].(*local.Blob)
	if path, err := origin.Path(); err != nil || path != l.blob(desc.Digest) {
		t.Errorf("Path = %q, %v", path, err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	answer, err := origin.Fetch(ctx, 3, 4)
	if err != nil || answer.At != 3 || answer.Whole {
		t.Fatalf("Fetch = %+v, %v", answer, err)
	}
	body := answer.Body
	if got, err := io.ReadAll(body); err != nil || string(got) != "3456" {
		t.Errorf("read %q, %v", got, err)
	}
	cancel()
	if _, err := body.Read(make([]byte, 1)); !errors.Is(err, context.Canceled) {
		t.Errorf("read after the end of the context = %v", err)
	}
	if err := body.Close(); err != nil {
		t.Error(err)
	}
	if err := os.Truncate(l.blob(desc.Digest), 5); err != nil {
		t.Fatal(err)
	}
	if _, err := origin.Path(); !errors.Is(err, manifest.ErrMalformed) {
		t.Errorf("a blob of another size = %v, want ErrMalformed", err)
	}
	if err := os.Remove(l.blob(desc.Digest)); err != nil {
		t.Fatal(err)
	}
	if _, err := origin.Fetch(t.Context(), 0, -1); !errors.Is(err, local.ErrNotFound) {
		t.Errorf("a blob that is gone = %v, want ErrNotFound", err)
	}
}
