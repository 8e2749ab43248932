package manifest_test

import (
	"errors"
	"fmt"
	"runtime"
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/mstore/mstore/manifest"
)

const empty = `{"mediaType":"application/vnd.oci.empty.v1+json","size":2,` +
	`"digest":"sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a"}`

func TestParseTooLarge(t *testing.T) {
	small := `{"schemaVersion":2,"config":` + empty + `,"layers":[]}`
	fill := strings.Repeat(" ", manifest.MaxSize-len(small))
	if _, err := manifest.Parse("", []byte(small+fill)); err != nil {
		t.Errorf("4 MiB exactly: %v", err)
	}
	if _, err := manifest.Parse("", []byte(small+fill+" ")); !errors.Is(err, manifest.ErrMalformed) {
		t.Errorf("4 MiB and a byte: %v", err)
	}
	if _, err := manifest.ParseIndex("", []byte(`{"schemaVersion":2,"manifests":[]}`+fill+fill)); !errors.Is(err, manifest.ErrMalformed) {
		t.Errorf("an index of 8 MiB: %v", err)
	}
}

// TestParseManyLayers: what costs must grow with the manifest, not with its square. 4 MiB hold some 20,000 layers.
func TestParseManyLayers(t *testing.T) {
	const n = 18_000
	var b strings.Builder
	b.WriteString(`{"schemaVersion":2,"config":` + empty + `,"layers":[`)
	for i := range n {
		if i > 0 {
			b.WriteByte(',')
		}
		fmt.Fprintf(&b, `{"mediaType":"application/vnd.ollama.image.license","size":%d,"digest":"%s"}`, i, digest.FromString(fmt.Sprint(i)))
	}
	b.WriteString(`]}`)
	m, err := manifest.Parse("", []byte(b.String()))
	if err != nil {
		t.Fatal(err)
	}
	if got := m.Files[n-1].Path; len(m.Files) != n || got != fmt.Sprintf("license-%d", n) {
		t.Errorf("%d files, the last %q", len(m.Files), got)
	}
}

func TestParseKeepsWhatItWasGiven(t *testing.T) {
	raw := `{"schemaVersion":2,"config":` + empty + `,"layers":[],"subject":` + empty + `,"annotations":{"k":"v"},"artifactType":"x/y"}`
	m, err := manifest.Parse(ocispec.MediaTypeImageManifest, []byte(raw))
	if err != nil {
		t.Fatal(err)
	}
	if m.Subject == nil || m.Subject.Size != 2 || m.Annotations["k"] != "v" || m.ArtifactType != "x/y" {
		t.Errorf("%+v", m)
	}
	if m.Descriptor.MediaType != ocispec.MediaTypeImageManifest || m.Descriptor.Digest != digest.FromString(raw) {
		t.Errorf("descriptor %+v", m.Descriptor)
	}
	if _, ok := m.File(""); ok {
		t.Error("there is a file without a name")
	}
}

func TestIsIndex(t *testing.T) {
	tests := []struct {
		mediaType, raw string
		want           bool
	}{
		{ocispec.MediaTypeImageIndex, `{}`, true},
		{manifest.MediaTypeDockerList, `garbage`, true},
		{ocispec.MediaTypeImageManifest, `{"manifests":[]}`, false},
		{manifest.MediaTypeDockerManifest, `{"manifests":[]}`, false},
		{"application/json", `{"manifests":[]}`, true},
		{"", `{"manifests":[]}`, true},
		{"", `{"manifests":[],"mediaType":"` + ocispec.MediaTypeImageManifest + `"}`, false},
		{"", `{"layers":[],"mediaType":"` + ocispec.MediaTypeImageIndex + `"}`, true},
		{"", `{"layers":[],"manifests":[]}`, false},
		{"", `{}`, false},
		{"", ``, false},
		{"", `[`, false},
	}
	for _, test := range tests {
		if got := manifest.IsIndex(test.mediaType, []byte(test.raw)); got != test.want {
			t.Errorf("IsIndex(%q, %s) = %v", test.mediaType, test.raw, got)
		}
	}
}

func TestSelectForThisMachine(t *testing.T) {
	entry := func(name, os, arch string) ocispec.Descriptor {
		d := ocispec.Descriptor{MediaType: ocispec.MediaTypeImageManifest, Digest: digest.FromString(name)}
		if os != "" {
			d.Platform = &ocispec.Platform{OS: os, Architecture: arch}
		}
		return d
	}
	os, arch := runtime.GOOS, runtime.GOARCH
	mine, linux, foreign := entry("mine", os, arch), entry("linux", "linux", arch), entry("foreign", "plan9", "mips")
	tests := []struct {
		entries []ocispec.Descriptor
		want    string
	}{
		{[]ocispec.Descriptor{foreign, linux, mine}, "mine"},
		{[]ocispec.Descriptor{foreign, linux}, "linux"},
		{[]ocispec.Descriptor{foreign}, ""},
		{[]ocispec.Descriptor{entry("any", "", "")}, "any"},
		{[]ocispec.Descriptor{entry("any", "", ""), foreign}, ""},
		{nil, ""},
	}
	for i, test := range tests {
		if os == "linux" && test.want == "mine" {
			test.entries, test.want = test.entries[:2], "linux" // two entries for one platform: the first is taken
		}
		x := &manifest.Index{Manifests: test.entries}
		d, err := x.Select(nil)
		if test.want == "" && errors.Is(err, manifest.ErrNoPlatform) {
			continue
		}
		if err != nil || d.Digest != digest.FromString(test.want) {
			t.Errorf("%d: %v, %v; want %q", i, d, err, test.want)
		}
	}
}

func TestErrNoPlatformListsWhatThereIs(t *testing.T) {
	x := &manifest.Index{}
	for i := range 1000 {
		x.Manifests = append(x.Manifests, ocispec.Descriptor{Platform: &ocispec.Platform{OS: "os", Architecture: fmt.Sprint("arch", i/2)}})
	}
	_, err := x.Select(&ocispec.Platform{OS: "linux", Architecture: "amd64"})
	for _, want := range []string{"linux/amd64", "os/arch0, os/arch1", "more"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("the error does not say %q: %v", want, err)
		}
	}
	if len(err.Error()) > 1000 {
		t.Errorf("the error has %d bytes", len(err.Error()))
	}
}

func TestParsePlatform(t *testing.T) {
	for _, bad := range []string{"", "linux", "linux/", "/amd64", "a/b/c/d", "linux/amd 64", "linux/amd64/\x1b", "línux/amd64"} {
		if p, err := manifest.ParsePlatform(bad); !errors.Is(err, manifest.ErrPlatform) || p != nil {
			t.Errorf("ParsePlatform(%q) = %v, %v", bad, p, err)
		}
	}
	p, err := manifest.ParsePlatform("Linux/aarch64/V8")
	if err != nil || p.OS != "linux" || p.Architecture != "arm64" || p.Variant != "v8" {
		t.Errorf("%v, %v", p, err)
	}
}

func TestSafePathTakesWhatIsSafe(t *testing.T) {
	for name, want := range map[string]string{
		"model.gguf": "model.gguf", "a/b/c": "a/b/c", "./a": "a", "a//b": "a/b", "a/./b": "a/b", ".//.//a": "a",
		".gitattributes": ".gitattributes", "..a": "..a", "a..b/c": "a..b/c", "-x": "-x", "~": "~", "é/模型": "é/模型", "a b": "a b", " a": " a",
		"console": "console", "com": "com", "com10": "com10", "auxiliary.bin": "auxiliary.bin", "lpt": "lpt", "😀": "😀",
		strings.Repeat("a", 255): strings.Repeat("a", 255), "$x": "$x", "%2e%2e/x": "%2e%2e/x", "a;b&c": "a;b&c",
	} {
		if got, err := manifest.SafePath(name); err != nil || got != want {
			t.Errorf("SafePath(%q) = %q, %v; want %q", name, got, err, want)
		}
	}
}

func TestSafePathRefusesNotUTF8(t *testing.T) {
	for _, name := range []string{"a\xff", "\xed\xa0\x80", ""} {
		if got, err := manifest.SafePath(name); !errors.Is(err, manifest.ErrUnsafePath) || got != "" {
			t.Errorf("SafePath(%q) = %q, %v", name, got, err)
		}
	}
}
