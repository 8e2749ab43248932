package main

import (
	"context"

	"github.com/urfave/cli/v2"

	"github.com/mstore/mstore"
)

func (p *program) rmCommand() *cli.Command {
	return &cli.Command{
		Name: "rm", Usage: "drop models from the store", ArgsUsage: "NAME...",
		Description: `Prints name@digest of each name that is gone. The bytes go with the next gc, unless another name needs
them.`,
		Action: p.action(p.rm),
	}
}

func (p *program) rm(ctx context.Context, c *cli.Context) error {
	return p.withStore(c, func(s *mstore.Store) error {
		removed := 0
		err := p.each(ctx, c.Args().Slice(), func(name string) error {
			m, err := s.Remove(ctx, name)
			if err != nil {
				return p.failed(name, err)
			}
			removed++
			return p.named(m)
		})
		if removed > 0 {
			p.note("`mstore gc` frees what no other name needs")
		}
		return err
	})
}

// failed puts an error among the results where these are JSON, and returns it to be said.
func (p *program) failed(name string, err error) error {
	if p.json {
		if e := p.result(failedDoc{name, faultOf(err)}, nil); e != nil {
			return e
		}
	}
	return err
}
