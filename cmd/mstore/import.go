package main

import (
	"context"

	"github.com/urfave/cli/v2"

	"github.com/mstore/mstore"
)

func (p *program) importCommand() *cli.Command {
	return &cli.Command{
		Name: "import", Usage: "make a model of files or a folder", ArgsUsage: "PATH...",
		Description: `Prints name@digest. A folder gives what is in it, a file its base name; the same files give the same
digest everywhere. The files are only read.`,
		Flags:  []cli.Flag{&cli.StringFlag{Name: "as", Usage: "call the model `NAME` in the store"}},
		Action: p.action(p.importPaths),
	}
}

func (p *program) importPaths(ctx context.Context, c *cli.Context) error {
	name := c.String("as")
	if name == "" {
		return &usageError{text: "import wants --as NAME", hint: "usage: mstore import PATH... --as NAME"}
	}
	return p.withStore(c, func(s *mstore.Store) error {
		stop := p.follow("importing " + name)
		r, err := s.Import(ctx, c.Args().Slice(), name, mstore.ImportOptions{})
		stop()
		if err != nil {
			return err
		}
		return p.pulled(r, "imported")
	})
}
