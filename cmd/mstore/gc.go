package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/opencontainers/go-digest"
	"github.com/urfave/cli/v2"

	"github.com/mstore/mstore"
)

func (p *program) gcCommand() *cli.Command {
	return &cli.Command{
		Name: "gc", Usage: "remove the blobs that no model needs",
		Description: `Nothing that a name reaches, or that a pull or a program started by exec uses, is removed. Several may
run at once.`,
		Flags: []cli.Flag{
			&cli.BoolFlag{Name: "dry-run", Usage: "say what would be removed, and remove nothing"},
			&cli.DurationFlag{Name: "grace", Usage: "keep blobs younger than `DURATION`", DefaultText: "0, or 24h where locks do not work"},
			&cli.BoolFlag{Name: "all", Usage: "drop every model that is not pinned, after a question"},
			&cli.BoolFlag{Name: "yes", Usage: "do not ask"},
		},
		Action: p.action(p.gc),
	}
}

type removedDoc struct {
	Digest digest.Digest `json:"digest"`
	Size   int64         `json:"size"`
}

type gcDoc struct {
	Dropped    []string     `json:"dropped"`
	Removed    []removedDoc `json:"removed"`
	FreedBytes int64        `json:"freedBytes"`
	Kept       int          `json:"kept"`
	DryRun     bool         `json:"dryRun"`
}

func (p *program) gc(ctx context.Context, c *cli.Context) error {
	opts := mstore.GCOptions{DryRun: c.Bool("dry-run"), All: c.Bool("all"), Grace: c.Duration("grace")}
	return p.withStore(c, func(s *mstore.Store) error {
		if opts.All && !opts.DryRun && !c.Bool("yes") {
			if sure, err := p.confirm(ctx, s, opts); err != nil || !sure {
				return err
			}
		}
		r, err := s.GC(ctx, opts)
		if err != nil {
			return err
		}
		return p.result(gcDocOf(r), func() error { return p.gcText(r) })
	})
}

// confirm asks before models are dropped. It tells what would go by the plan of a dry run.
func (p *program) confirm(ctx context.Context, s *mstore.Store, opts mstore.GCOptions) (bool, error) {
	opts.DryRun = true
	plan, err := s.GC(ctx, opts)
	if err != nil || len(plan.Dropped) == 0 {
		return err == nil, err
	}
	question := fmt.Sprintf("Remove %s, %s?", count(int64(len(plan.Dropped)), "model"), size(plan.FreedBytes))
	if _, ok := isTerminal(p.in); !ok {
		return false, &usageError{
			text: "gc --all asks before it removes " + count(int64(len(plan.Dropped)), "model") + ", and there is no terminal to ask on",
			hint: "add --yes, or see with --dry-run what would go",
		}
	}
	_, _ = fmt.Fprintf(p.err, "%s [y/N] ", question) // without a question on the screen, the answer is no
	answer, err := p.readLine(ctx)
	if err != nil {
		return false, err
	}
	switch strings.ToLower(strings.TrimSpace(answer)) {
	case "y", "yes":
		return true, nil
	}
	p.say("nothing was removed")
	return false, nil
}

// readLine reads a line that a person types. The end of the input is an empty answer.
func (p *program) readLine(ctx context.Context) (string, error) {
	type reply struct {
		line string
		err  error
	}
	got := make(chan reply, 1)
	go func() {
		line, err := bufio.NewReader(p.in).ReadString('\n')
		if errors.Is(err, io.EOF) {
			err = nil
		}
		got <- reply{line, err}
	}()
	select {
	case r := <-got:
		return r.line, r.err
	case <-ctx.Done():
		return "", ctx.Err()
	}
}

func gcDocOf(r *mstore.GCResult) gcDoc {
	doc := gcDoc{
		Dropped: append([]string{}, r.Dropped...), Removed: make([]removedDoc, 0, len(r.Removed)),
		FreedBytes: r.FreedBytes, Kept: r.Kept, DryRun: r.DryRun,
	}
	for _, removal := range r.Removed {
		doc.Removed = append(doc.Removed, removedDoc{removal.Digest, removal.Size})
	}
	return doc
}

func (p *program) gcText(r *mstore.GCResult) error {
	dropped, removed, freed := "dropped", "removed", "freed"
	if r.DryRun {
		dropped, removed, freed = "would drop", "would remove", "free"
	}
	for _, name := range r.Dropped {
		if err := p.print("%s %s", dropped, clean(name)); err != nil {
			return err
		}
	}
	if r.DryRun {
		rows := make([][]string, 0, len(r.Removed))
		for _, removal := range r.Removed {
			rows = append(rows, []string{removed, removal.Digest.String(), size(removal.Size)})
		}
		const sizeColumn = 2
		if err := p.table(rows, sizeColumn); err != nil {
			return err
		}
	}
	return p.print("%s %s and %s %s; %s kept",
		removed, count(int64(len(r.Removed)), "blob"), freed, size(r.FreedBytes), count(int64(r.Kept), "blob"))
}
