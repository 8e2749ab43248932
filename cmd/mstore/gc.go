package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/opencontainers/go-digest"
	"github.com/urfave/cli/v2"

	"github.com/mstore/mstore"
)

func (p *program) gcCommand() *cli.Command {
	return &cli.Command{
		Name: "gc", Usage: "remove the blobs that no model needs",
		Description: `Nothing that a name reaches, or that a pull or a program started by exec uses, is removed. Several may
run at once.

With a limit, names are dropped first, and no more of them than it takes; never one that is pinned or in
use. Policies: lru drops those not used for the longest time until the rest fits --max-size, size the
largest, ttl only those older than --max-age. Set by the environment, the limits hold after each pull
and import as well.

With --compress, files of models that nobody is using take less room, without loss: weights in bf16 a third
less. They are found, verified and read as before, and unpacked by the next path, export or exec. Files that
gain less than a tenth stay as they are, and so do those of models that were laid out by path or exec.`,
		Flags: []cli.Flag{
			&cli.BoolFlag{Name: "dry-run", Usage: "say what would be removed, and remove nothing"},
			&cli.DurationFlag{Name: "grace", Usage: "keep blobs younger than `DURATION`", DefaultText: "0, or 24h where locks do not work"},
			&cli.StringFlag{Name: policyName, Usage: "drop models by `lru|ttl|size`", DefaultText: "MSTORE_CLEANUP_STRATEGY, or lru"},
			&cli.GenericFlag{Name: maxSizeName, Value: new(byteSize), Usage: "drop models until the rest takes no more than `SIZE`", DefaultText: "MSTORE_CACHE_SIZE"},
			&cli.DurationFlag{Name: maxAgeName, Usage: "drop models that were not used for `DURATION`", DefaultText: "MSTORE_MAX_AGE"},
			&cli.BoolFlag{Name: compressName, Usage: "pack the files of models that nobody is using", EnvVars: []string{compressEnv}},
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

// chosenDoc is a model that exceeds a limit.
type chosenDoc struct {
	Name     string    `json:"name"`
	Reason   string    `json:"reason"`
	LastUsed time.Time `json:"lastUsed"`
	Frees    int64     `json:"freesBytes"`
}

type packedDoc struct {
	Digest     digest.Digest `json:"digest"`
	SavedBytes int64         `json:"savedBytes"`
}

type gcDoc struct {
	Dropped    []string     `json:"dropped"`
	Chosen     []chosenDoc  `json:"chosen"`
	OverBytes  int64        `json:"overBytes"`
	Removed    []removedDoc `json:"removed"`
	FreedBytes int64        `json:"freedBytes"`
	Kept       int          `json:"kept"`
	Packed     []packedDoc  `json:"packed"`
	SavedBytes int64        `json:"savedBytes"`
	DryRun     bool         `json:"dryRun"`
}

func (p *program) gc(ctx context.Context, c *cli.Context) error {
	quota, err := quota(c)
	if err != nil {
		return err
	}
	opts := mstore.GCOptions{DryRun: c.Bool("dry-run"), All: c.Bool("all"), Grace: c.Duration("grace"), Quota: quota, Compress: c.Bool(compressName)}
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
		Chosen: make([]chosenDoc, 0, len(r.Chosen)), OverBytes: r.Over, FreedBytes: r.FreedBytes, Kept: r.Kept, DryRun: r.DryRun,
		Packed: make([]packedDoc, 0, len(r.Packed)), SavedBytes: r.SavedBytes,
	}
	for _, choice := range r.Chosen {
		doc.Chosen = append(doc.Chosen, chosenDoc{choice.Tag.Name, whichLimit(choice), choice.Tag.LastUsed, choice.Frees})
	}
	for _, packing := range r.Packed {
		doc.Packed = append(doc.Packed, packedDoc{packing.Digest, packing.Saved})
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
	why := make(map[string]string)
	for _, choice := range r.Chosen {
		why[choice.Tag.Name] = fmt.Sprintf(" (last used %s, %s)", choice.Tag.LastUsed.Format(time.DateOnly), size(choice.Frees))
	}
	for _, name := range r.Dropped {
		if err := p.print("%s %s%s", dropped, clean(name), why[name]); err != nil {
			return err
		}
	}
	p.overQuota(r.Over)
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
	if len(r.Packed) > 0 {
		if err := p.print("packed %s and saved %s", count(int64(len(r.Packed)), "blob"), size(r.SavedBytes)); err != nil {
			return err
		}
	}
	return p.print("%s %s and %s %s; %s kept",
		removed, count(int64(len(r.Removed)), "blob"), freed, size(r.FreedBytes), count(int64(r.Kept), "blob"))
}
