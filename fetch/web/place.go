package web

import (
	"fmt"
	"net/url"
	"path"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/opencontainers/go-digest"

	"github.com/mstore/mstore/fetch/source"
	"github.com/mstore/mstore/fetch/transfer"
	"github.com/mstore/mstore/manifest"
)

// maxURL is more than any server was seen to take.
const maxURL = 16 << 10

// place is what a reference says.
type place struct {
	url  *url.URL // without user and fragment
	user *url.Userinfo
	pin  digest.Digest // what the file is by the word of who asks; "": they do not say
}

// parse reads a URL. Its errors are ErrReference and hold nothing of what may be a password.
func parse(ref string) (place, error) {
	const form = "want https://HOST/PATH or http://HOST/PATH"
	if len(ref) > maxURL {
		return place{}, fmt.Errorf("%w: a URL of %d bytes", source.ErrReference, len(ref))
	}
	u, err := url.Parse(ref)
	if err != nil || u.Opaque != "" || u.Hostname() == "" || u.Scheme != "https" && u.Scheme != "http" {
		return place{}, fmt.Errorf("%w: %s", source.ErrReference, form) // the error of Parse holds the whole of it
	}
	if strings.ContainsFunc(u.Host, func(r rune) bool { return r != '-' && r != ':' && r != '[' && r != ']' && !plain(r) }) {
		return place{}, fmt.Errorf("%w: %q is no host; %s", source.ErrReference, transfer.Clean(u.Host), form)
	}
	p := place{url: u, user: u.User}
	fragment := u.Fragment
	u.Host = strings.ToLower(u.Host)
	u.User, u.Fragment, u.RawFragment = nil, "", ""
	p.pin, err = fragmentDigest(fragment)
	if err != nil {
		return place{}, fmt.Errorf("%w: %s: %w", source.ErrReference, p, err)
	}
	return p, nil
}

// fragmentDigest reads sha256=HEX, which may stand among others. A digest that cannot be checked here is refused: who
// writes one relies on it. Every other fragment is for browsers.
func fragmentDigest(fragment string) (d digest.Digest, err error) {
	for part := range strings.SplitSeq(fragment, "&") {
		switch key, value, _ := strings.Cut(part, "="); strings.ToLower(key) {
		case "sha256":
			if d, err = hexDigest(value); err != nil {
				return "", fmt.Errorf("behind #sha256= stand 64 hexadecimal digits, not %q", transfer.Clean(value))
			}
		case "md5", "sha1", "sha224", "sha384", "sha512", "blake2b", "blake3":
			return "", fmt.Errorf("a digest by %s cannot be checked; sha256 can", strings.ToLower(key))
		}
	}
	return d, nil
}

// hexDigest reads 64 hexadecimal digits, of either case.
func hexDigest(s string) (digest.Digest, error) {
	d := digest.NewDigestFromEncoded(digest.SHA256, strings.ToLower(s))
	return d, d.Validate()
}

// pinned is the place with what the caller says the file is, beside what the reference says.
func (p place) pinned(by digest.Digest) (place, error) {
	switch {
	case by == "":
		return p, nil
	case by.Validate() != nil || by.Algorithm() != digest.SHA256:
		return p, fmt.Errorf("%w: %s: a digest is sha256: and 64 hexadecimal digits, not %q", source.ErrReference, p, transfer.Clean(string(by)))
	case p.pin != "" && p.pin != by:
		return p, fmt.Errorf("%w: %s: the URL says that the file is %s, and the caller that it is %s", source.ErrReference, p, p.pin, by)
	}
	p.pin = by
	return p, nil
}

// NameOf is the name that a store has for the file at a URL, as far as the URL alone tells. The error is ErrReference.
func NameOf(ref string) (string, error) {
	p, err := parse(ref)
	if err != nil {
		return "", err
	}
	base, err := p.base()
	if err != nil {
		return "", fmt.Errorf("%w: %s names no file: %w", source.ErrReference, p, err)
	}
	return p.name(base), nil
}

// String is the place as it can be shown: without user and query.
func (p place) String() string { return transfer.RedactURL(p.url) }

// reference is the place as it can be asked again.
func (p place) reference() string { return p.url.String() }

// name is the place as a store names it: HOST/PATH:latest. What is no letter, digit, '.', '_' or '-' stands as in a URL,
// as % and two hexadecimal digits a byte. called is for a path that names no file.
func (p place) name(called string) string {
	var b strings.Builder
	b.WriteString(p.url.Host)
	parts := strings.Split(strings.Trim(p.url.EscapedPath(), "/"), "/")
	if base, err := p.base(); err != nil || base != called {
		parts = append(parts, url.PathEscape(called))
	}
	for _, part := range parts {
		if part == "" {
			continue
		}
		b.WriteByte('/')
		part, _ = url.PathUnescape(part) // it was escaped well
		escape(&b, part)
	}
	b.WriteString(":latest")
	return b.String()
}

func escape(b *strings.Builder, part string) {
	for len(part) > 0 {
		r, n := utf8.DecodeRuneInString(part)
		if r != utf8.RuneError && (r == '-' || plain(r)) {
			b.WriteString(part[:n])
		} else {
			for i := range n {
				fmt.Fprintf(b, "%%%02x", part[i])
			}
		}
		part = part[n:]
	}
}

// plain are the characters that mean nothing else in a name.
func plain(r rune) bool {
	return r == '.' || r == '_' || unicode.IsLetter(r) || unicode.IsDigit(r) || unicode.IsMark(r)
}

// base is the last element of the path as the name of a file.
func (p place) base() (string, error) {
	escaped := p.url.EscapedPath()
	part, err := url.PathUnescape(escaped[strings.LastIndexByte(escaped, '/')+1:])
	if err != nil {
		return "", err
	}
	return safeName(part)
}

// safeName checks what is to be one name, not a path.
func safeName(name string) (string, error) {
	safe, err := manifest.SafePath(name)
	if err == nil && path.Base(safe) != name {
		err = fmt.Errorf("%w: %q has a slash in it", manifest.ErrUnsafePath, name)
	}
	return safe, err
}
