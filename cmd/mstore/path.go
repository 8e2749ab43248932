package main

import (
	"context"
	"fmt"

	"github.com/urfave/cli/v2"

	"github.com/mstore/mstore"
)

func (p *program) pathCommand() *cli.Command {
	return &cli.Command{
		Name: "path", Usage: "print where a model's files are on disk", ArgsUsage: "NAME [FILE]",
		Description: `Prints a folder, or the path of one file in it, that a program can open. Nothing is copied. The folder is
the store's and read-only, and goes when the model is dropped: use exec to keep it meanwhile.`,
		Action: p.action(p.path),
	}
}

type pathDoc struct {
	Name string `json:"name"`
	File string `json:"file,omitempty"`
	Path string `json:"path"`
}

func (p *program) path(ctx context.Context, c *cli.Context) error {
	name, file := c.Args().Get(0), c.Args().Get(1)
	return p.withStore(c, func(s *mstore.Store) error {
		path, err := s.Path(ctx, name, file)
		if err != nil && file != "" && classOf(err) == mstore.ErrNotFound {
			return p.noFile(ctx, s, name, file, err)
		}
		if err != nil {
			return err
		}
		return p.result(pathDoc{name, file, path}, func() error { return p.print("%s", path) })
	})
}

// noFile tells a file that the model has not from a model that the store has not.
func (p *program) noFile(ctx context.Context, s *mstore.Store, name, file string, err error) error {
	if has, _ := s.Has(ctx, name); !has {
		return &mstore.NotFoundError{Name: name}
	}
	return &advised{
		cause: err, text: fmt.Sprintf("%s has no file %q", name, file), hint: "`mstore show " + name + "` lists its files",
	}
}
