package export

import (
	"archive/tar"
	"context"
	"io"

	"github.com/mstore/mstore/internal/durable"
)

// Unpack unpacks one archive into an empty folder.
func Unpack(ctx context.Context, dir string, r io.Reader, image bool) error {
	root, err := durable.OpenRoot(dir)
	if err != nil {
		return err
	}
	defer root.Close()
	u := &unpacker{tree: folder{root: root}, budget: &budget{1000, 1 << 20, 2 << 20}}
	if image {
		u.own = make(map[string]struct{})
	}
	if err := u.all(ctx, tar.NewReader(&metered{ctx, r, u.budget})); err != nil {
		return err
	}
	return checkLinks(u.tree)
}
