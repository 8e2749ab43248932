package main

import (
	"context"

	"github.com/opencontainers/go-digest"
	"github.com/urfave/cli/v2"

	"github.com/mstore/mstore"
	"github.com/mstore/mstore/export"
)

func (p *program) exportCommand() *cli.Command {
	return &cli.Command{
		Name: "export", Usage: "write a model's files into a folder", ArgsUsage: "NAME DIR",
		Description: `Prints the folder. Files that are there with the same bytes stay as they are; nothing else is overwritten.
The store's own bytes are taken as they are: to hash them again first, run verify NAME.
No file that can be written shares its bytes with the store.`,
		Flags: []cli.Flag{
			&cli.StringFlag{
				Name: "mode", Value: string(export.Auto),
				Usage: "how files get their bytes: `auto|reflink|hardlink|copy|symlink`",
			},
		},
		Action: p.action(p.export),
	}
}

type exportedDoc struct {
	Name   string        `json:"name"`
	Digest digest.Digest `json:"digest"`
	Dir    string        `json:"dir"`
	Size   int64         `json:"size"`
	Files  []fileDoc     `json:"files"`
}

func (p *program) export(ctx context.Context, c *cli.Context) error {
	mode, err := choice(c, "mode", string(export.Auto), string(export.Reflink), string(export.Hardlink),
		string(export.Copy), string(export.Symlink))
	if err != nil {
		return err
	}
	return p.withStore(c, func(s *mstore.Store) error {
		stop := p.follow("exporting")
		defer stop()
		r, err := s.Export(ctx, c.Args().Get(0), c.Args().Get(1), mstore.ExportOptions{Mode: export.Mode(mode)})
		if err != nil {
			return err
		}
		stop()
		return p.result(exportedDoc{r.Name, r.Digest, r.Dir, r.Size, filesOf(&r.Model)}, func() error {
			return p.print("%s", r.Dir)
		})
	})
}
