package main

import (
	"context"

	"github.com/urfave/cli/v2"

	"github.com/mstore/mstore"
)

func (p *program) pinCommand() *cli.Command {
	return &cli.Command{
		Name: "pin", Usage: "keep a model, whatever is cleaned up", ArgsUsage: "NAME",
		Action: p.action(func(ctx context.Context, c *cli.Context) error { return p.setPin(ctx, c, true) }),
	}
}

func (p *program) unpinCommand() *cli.Command {
	return &cli.Command{
		Name: "unpin", Usage: "let a pinned model go", ArgsUsage: "NAME",
		Action: p.action(func(ctx context.Context, c *cli.Context) error { return p.setPin(ctx, c, false) }),
	}
}

type pinDoc struct {
	Name   string `json:"name"`
	Pinned bool   `json:"pinned"`
}

func (p *program) setPin(ctx context.Context, c *cli.Context, pinned bool) error {
	name := c.Args().First()
	return p.withStore(c, func(s *mstore.Store) error {
		set, done := s.Unpin, "unpinned"
		if pinned {
			set, done = s.Pin, "pinned"
		}
		if err := set(ctx, name); err != nil {
			return err
		}
		return p.result(pinDoc{name, pinned}, func() error { return p.print("%s %s", done, clean(name)) })
	})
}
