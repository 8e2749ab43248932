package main

import (
	"context"

	"github.com/opencontainers/go-digest"
	"github.com/urfave/cli/v2"

	"github.com/mstore/mstore"
)

func (p *program) tagCommand() *cli.Command {
	return &cli.Command{
		Name: "tag", Usage: "give a model a further name", ArgsUsage: "NAME NEW",
		Description: `Prints NEW@digest. A name that exists is moved, as in docker.`,
		Action:      p.action(p.tag),
	}
}

// namedDoc is a name and what it means.
type namedDoc struct {
	Name   string        `json:"name"`
	Digest digest.Digest `json:"digest"`
}

func (p *program) tag(ctx context.Context, c *cli.Context) error {
	return p.withStore(c, func(s *mstore.Store) error {
		m, err := s.Tag(ctx, c.Args().Get(0), c.Args().Get(1))
		if err != nil {
			return err
		}
		return p.named(m)
	})
}

// named prints a name and what it means.
func (p *program) named(m *mstore.Model) error {
	return p.result(namedDoc{m.Name, m.Digest}, func() error { return p.nameLine(m.Name, m.Digest) })
}
