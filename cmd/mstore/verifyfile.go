package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/urfave/cli/v2"

	"github.com/mstore/mstore"
	"github.com/mstore/mstore/blobstore"
)

type fileVerifiedDoc struct {
	File string `json:"file"`
	OK   bool   `json:"ok"`
}

func (p *program) verifyFile(ctx context.Context, c *cli.Context) error {
	if c.Args().Len() > 1 {
		return usagef("--file is held against one model's file, not against %d", c.Args().Len())
	}
	want := mstore.FileWant{Name: c.Args().First()}
	if n := c.Int64("size"); n >= 0 {
		want.Size = &n
	}
	var err error
	if want.Digest, err = digestFlag(c); err != nil {
		return err
	}
	if want.Name == "" && want.Digest == "" && want.Size == nil {
		return &usageError{
			text: "there is nothing to hold the file against", hint: "name NAME/FILE of a model, or give --digest or --size",
		}
	}
	path := c.String("file")
	return p.withStore(c, func(s *mstore.Store) error {
		if err := s.VerifyFile(ctx, path, want); err != nil {
			return otherFile(path, err)
		}
		return p.result(fileVerifiedDoc{path, true}, func() error { return p.print("%s: good", clean(path)) })
	})
}

// otherFile says how a file differs from what it was held against.
func otherFile(path string, err error) error {
	m, ok := errors.AsType[*blobstore.MismatchError](err)
	if !ok {
		return err
	}
	text := fmt.Sprintf("%s is another file: it has the digest %s, not %s", path, m.Got, m.Want)
	if m.WantSize >= 0 && m.GotSize != m.WantSize {
		text = fmt.Sprintf("%s is another file: it has %d bytes, not %d", path, m.GotSize, m.WantSize)
	}
	return &advised{cause: err, text: text, hint: "`mstore export` writes the files that the store has"}
}
