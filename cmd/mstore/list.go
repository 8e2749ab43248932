package main

import (
	"context"
	"fmt"
	"time"

	"github.com/opencontainers/go-digest"
	"github.com/urfave/cli/v2"

	"github.com/mstore/mstore"
)

func (p *program) listCommand() *cli.Command {
	return &cli.Command{
		Name: "list", Aliases: []string{"ls"}, Usage: "list the models in the store",
		Action: p.action(p.list),
	}
}

// listedDoc is a model in a list: what its tag says.
type listedDoc struct {
	tagDoc
	Files int `json:"files"`
}

func (p *program) list(ctx context.Context, c *cli.Context) error {
	return p.withStore(c, func(s *mstore.Store) error {
		models, err := s.List(ctx) // what can be read is listed, whatever cannot
		docs := make([]listedDoc, 0, len(models))
		for i := range models {
			docs = append(docs, listedDoc{tagOf(&models[i]), models[i].Count})
		}
		if e := p.result(docs, func() error { return p.listTable(models) }); e != nil {
			return e
		}
		return err
	})
}

func (p *program) listTable(models []mstore.Model) error {
	now := time.Now()
	rows := [][]string{{"NAME", "DIGEST", "SIZE", "FILES", "LAST USED", "PINNED"}}
	for _, m := range models {
		pinned := ""
		if m.Pinned {
			pinned = "yes"
		}
		rows = append(rows, []string{
			clean(m.Name), short(m.Digest), size(m.Size), fmt.Sprint(m.Count), ago(m.LastUsed, now), pinned,
		})
	}
	const sizeColumn, filesColumn = 2, 3
	return p.table(rows, sizeColumn, filesColumn)
}

// short is a digest as far as a person compares it: `show` and --format json have it whole.
func short(d digest.Digest) string {
	const enough = len("sha256:") + 12
	return string(d[:min(enough, len(d))])
}
