package main

import (
	"context"

	"github.com/urfave/cli/v2"

	"github.com/mstore/mstore"
)

func (p *program) hasCommand() *cli.Command {
	return &cli.Command{
		Name: "has", Usage: "tell whether a model is in the store, by the exit code: 0 or 3", ArgsUsage: "NAME",
		Action: p.action(p.has),
	}
}

type hasDoc struct {
	Name string `json:"name"`
	Has  bool   `json:"has"`
}

func (p *program) has(ctx context.Context, c *cli.Context) error {
	name := c.Args().First()
	return p.withStore(c, func(s *mstore.Store) error {
		has, err := s.Has(ctx, name)
		if err != nil {
			return err
		}
		if err := p.result(hasDoc{name, has}, func() error { return nil }); err != nil || has {
			return err
		}
		return &mstore.NotFoundError{Name: name}
	})
}
