package export

import (
	"fmt"
	"path"
	"strings"

	"github.com/mstore/mstore/manifest"
)

// The names by which a layer of an image deletes what the layers below it made (OCI image spec, layer.md).
const (
	whiteout = ".wh."
	special  = ".wh..wh." // the layer's own business, but for
	opaque   = ".wh..wh..opq"
)

// lower tells whether what lies at p was made by a layer below this one.
func (u *unpacker) lower(p string) bool {
	_, mine := u.own[p]
	return u.own != nil && !mine
}

// whiteout does what the whiteout at p says. It is no file itself, and what its own layer made stays.
func (u *unpacker) whiteout(p string) error {
	dir, name := path.Split(p)
	switch {
	case name == opaque:
		return u.hideBelow(path.Clean(dir))
	case strings.HasPrefix(name, special):
		return nil
	}
	hidden, err := manifest.SafePath(dir + strings.TrimPrefix(name, whiteout))
	if err != nil {
		return fmt.Errorf("%w: %w", ErrUnsafe, err)
	}
	return u.hide(hidden)
}

// hide removes what the layers below made at p.
func (u *unpacker) hide(p string) error {
	info, err := u.tree.lookup(p)
	switch {
	case missing(err):
		return nil
	case err != nil:
		return unsafeBlocked(err)
	case info.IsDir():
		if err := u.hideBelow(p); err != nil {
			return err
		}
		if rest, err := u.tree.names(p); err != nil || len(rest) > 0 {
			return err
		}
	}
	if !u.lower(p) {
		return nil
	}
	return u.tree.remove(p)
}

func (u *unpacker) hideBelow(dir string) error {
	info, err := u.tree.lookup(dir)
	switch {
	case missing(err):
		return nil
	case err != nil:
		return unsafeBlocked(err)
	case !info.IsDir():
		return fmt.Errorf("%w: a whiteout is about the inside of %q, which is no folder", ErrUnsafe, dir)
	}
	entries, err := u.tree.names(dir)
	if err != nil {
		return err
	}
	for _, e := range entries {
		if err := u.hide(path.Join(dir, e.Name())); err != nil {
			return err
		}
	}
	return nil
}
