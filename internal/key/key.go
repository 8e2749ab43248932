// Package key owns the one way from a digest to a path.
//
// A digest that comes from outside (a manifest, a tag, a command line) is a string, and a string that is joined to a
// folder is a path traversal. [Parse] is the only constructor of a [Key], and only a Key makes a path: no other code of
// this module joins a digest to a folder. The package knows nothing of what the digests stand for.
package key

import (
	"errors"
	"fmt"
	"path/filepath"
	"strings"

	"github.com/opencontainers/go-digest"
)

// ErrInvalid reports a string that is not a sha256 digest in its canonical form.
var ErrInvalid = errors.New("not a sha256 digest")

const (
	prefix = "sha256:"
	hexLen = 64
)

// Key is a sha256 digest that was checked. The zero Key is no digest; it is what Parse returns beside an error.
// Keys are comparable.
type Key struct{ hex string }

// Parse checks d against ^sha256:[a-f0-9]{64}$ and nothing wider: the grammar of the OCI image spec also allows
// upper case, other algorithms and separators, which are safe as digests and not as file names.
// The error is [ErrInvalid].
func Parse(d digest.Digest) (Key, error) {
	hex, ok := strings.CutPrefix(string(d), prefix)
	if !ok {
		return Key{}, fmt.Errorf("%w: %q", ErrInvalid, clip(string(d)))
	}
	return ParseHex(hex)
}

// ParseHex is Parse for the 64 hexadecimal digits alone, as they stand in file names.
func ParseHex(hex string) (Key, error) {
	if len(hex) != hexLen || strings.Trim(hex, "0123456789abcdef") != "" {
		return Key{}, fmt.Errorf("%w: %q", ErrInvalid, clip(hex))
	}
	return Key{hex}, nil
}

// Digest is the key as OCI writes it.
func (k Key) Digest() digest.Digest { return digest.Digest(prefix + k.hex) }

// Hex is the 64 digits of the key.
func (k Key) Hex() string { return k.hex }

// String is Digest as a string.
func (k Key) String() string { return prefix + k.hex }

// In is the path of the entry that this key names in dir.
func (k Key) In(dir string) string { return filepath.Join(dir, k.hex) }

// clip keeps an error about a hostile string short.
func clip(s string) string {
	const most = 100
	if len(s) <= most {
		return s
	}
	return s[:most] + "..."
}
