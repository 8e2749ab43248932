package key_test

import (
	"errors"
	"path/filepath"
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"

	"github.com/mstore/mstore/internal/key"
)

const good = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"

func TestParse(t *testing.T) {
	k, err := key.Parse("sha256:" + good)
	if err != nil {
		t.Fatal(err)
	}
	if got, want := k.In("dir"), filepath.Join("dir", good); got != want {
		t.Errorf("In(dir) = %q, want %q", got, want)
	}
	if k.Digest() != "sha256:"+good || k.String() != "sha256:"+good || k.Hex() != good {
		t.Errorf("the key does not give its digest back: %v %v %v", k.Digest(), k, k.Hex())
	}
}

func TestParseRefusesHostileDigests(t *testing.T) {
	hostile := []string{
		"", "sha256:", "sha256", good, "sha256:../../etc/x", "sha256-" + good,
		"sha256:" + good[:63], "sha256:" + good + "0", "sha256:" + strings.ToUpper(good),
		"SHA256:" + good, "sha256:" + strings.Repeat("g", 64), "sha512:" + good,
		"sha256:" + good[:63] + "\x00", "sha256:" + good + "\n", " sha256:" + good,
		"sha256:" + strings.Repeat("０", 64), "sha256:" + strings.Repeat("../", 21) + "x",
		"sha256:" + good[:63] + "/", "sha256:" + good + "/..", "sha256+b64:" + good,
		strings.Repeat("sha256:", 1000),
	}
	for _, s := range hostile {
		k, err := key.Parse(digest.Digest(s))
		if !errors.Is(err, key.ErrInvalid) || k != (key.Key{}) {
			t.Errorf("Parse(%.80q) = %v, %v; want no key and ErrInvalid", s, k, err)
		}
		if err != nil && len(err.Error()) > 400 {
			t.Errorf("the error about a string of %d bytes has %d", len(s), len(err.Error()))
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add("sha256:" + good)
	f.Add("sha256:../" + good)
	f.Fuzz(func(t *testing.T, s string) {
		k, err := key.Parse(digest.Digest(s))
		if err == nil && (k.String() != s || filepath.Base(k.In("d")) != k.Hex() || filepath.Dir(k.In("d")) != "d") {
			t.Errorf("Parse(%q) gave a key that is not it: %v", s, k)
		}
	})
}
