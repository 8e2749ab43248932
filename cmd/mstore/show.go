package main

import (
	"context"
	"strings"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/mstore/mstore"
	"github.com/mstore/mstore/manifest"
)

func (p *program) showCommand() *cli.Command {
	return &cli.Command{
		Name: "show", Aliases: []string{"inspect"}, Usage: "show what is known of a model", ArgsUsage: "NAME",
		Action: p.action(p.show),
	}
}

type shownDoc struct {
	tagDoc
	Files []fileDoc      `json:"files"`
	Facts manifest.Facts `json:"facts"`
}

func (p *program) show(ctx context.Context, c *cli.Context) error {
	return p.withStore(c, func(s *mstore.Store) error {
		m, err := s.Show(ctx, c.Args().First())
		if err != nil {
			return err
		}
		return p.result(shownDoc{tagOf(m), filesOf(m), m.Facts}, func() error { return p.showText(m) })
	})
}

func (p *program) showText(m *mstore.Model) error {
	rows := [][]string{
		{"name", m.Name},
		{"digest", m.Digest.String()},
		{"size", wholeSize(m.Size)},
		{"kind", string(m.Kind)},
		{"source", m.Source.Reference},
		{"commit", m.Source.Revision},
		{"taken", strings.ReplaceAll(m.Source.Filter, "\n", " ")},
		{"created", m.Created.Local().Format(time.DateTime)},
		{"last used", ago(m.LastUsed, time.Now())},
		{"pinned", map[bool]string{true: "yes", false: "no"}[m.Pinned]},
	}
	rows = append(rows, factRows(&m.Facts)...)
	if err := p.table(said(rows)); err != nil {
		return err
	}
	if err := p.print("\n%s:", count(int64(len(m.Files)), "file")); err != nil || len(m.Files) == 0 {
		return err
	}
	files := make([][]string, 0, len(m.Files))
	for _, f := range m.Files {
		path := clean(f.Path)
		if f.Archive != "" {
			path = "(" + string(f.Archive) + " archive) " + path
		}
		files = append(files, []string{"  " + path, size(f.Size), f.Digest.String()})
	}
	return p.table(files, 1)
}

// factRows are the facts that a model's config tells.
func factRows(f *manifest.Facts) [][]string {
	return [][]string{
		{"title", f.Title},
		{"description", f.Description},
		{"architecture", f.Architecture},
		{"family", f.Family},
		{"format", f.Format},
		{"parameters", f.Parameters},
		{"precision", f.Precision},
		{"quantization", f.Quantization},
		{"license", f.License},
		{"vendor", f.Vendor},
		{"version", f.Version},
		{"revision", f.Revision},
		{"homepage", f.Source},
	}
}

// said are the rows that say something, clean.
func said(rows [][]string) [][]string {
	kept := rows[:0]
	for _, row := range rows {
		if row[1] != "" {
			kept = append(kept, []string{row[0], sentence(row[1])})
		}
	}
	return kept
}
