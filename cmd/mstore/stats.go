package main

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/mstore/mstore"
	"github.com/mstore/mstore/stats"
)

func (p *program) statsCommand() *cli.Command {
	return &cli.Command{
		Name: statsName, Usage: "say what the store holds and what was done in it",
		Description: `With --format prometheus, for the textfile collector of the node exporter; a file that it reads must
appear whole:
  mstore stats --format prometheus > mstore.prom.new && mv mstore.prom.new mstore.prom`,
		Flags: []cli.Flag{
			&cli.DurationFlag{Name: "since", Usage: "count what was done in the last `DURATION`", DefaultText: "ever"},
		},
		Action: p.action(p.stats),
	}
}

func (p *program) stats(ctx context.Context, c *cli.Context) error {
	opts := mstore.StatsOptions{}
	prometheus := c.String(formatName) == prometheusName
	if c.IsSet("since") {
		if prometheus {
			return usagef("--since is not for --format %s: its counters count from the beginning", prometheusName)
		}
		opts.Since = time.Now().Add(-c.Duration("since"))
	}
	return p.withStore(c, func(s *mstore.Store) error {
		r, err := s.Stats(ctx, opts)
		if err != nil {
			return err
		}
		if prometheus {
			return p.print("%s", strings.TrimSuffix(exposition(r), "\n"))
		}
		return p.result(statsDocOf(r), func() error { return p.statsText(r) })
	})
}

type pileDoc struct {
	Count int   `json:"count"`
	Bytes int64 `json:"bytes"`
}

type weightDoc struct {
	Name       string    `json:"name"`
	Bytes      int64     `json:"bytes"`
	AloneBytes int64     `json:"aloneBytes"`
	LastUsed   time.Time `json:"lastUsed"`
	Pinned     bool      `json:"pinned"`
}

type actsDoc struct {
	From         *time.Time       `json:"from"`
	Pulls        map[string]int64 `json:"pulls"`
	Pushes       map[string]int64 `json:"pushes"`
	Imports      map[string]int64 `json:"imports"`
	GC           map[string]int64 `json:"gc"`
	Cached       int64            `json:"cached"`
	BytesFetched int64            `json:"bytesFetched"`
	BytesReused  int64            `json:"bytesReused"`
	BytesSent    int64            `json:"bytesSent"`
	HitRate      float64          `json:"hitRate"`
	Speed        float64          `json:"bytesPerSecond"`
	Retries      int64            `json:"retries"`
	Removed      int64            `json:"removedBlobs"`
	Freed        int64            `json:"freedBytes"`
}

type statsDoc struct {
	Blobs       int         `json:"blobs"`
	UsedBytes   int64       `json:"usedBytes"`
	NeededBytes int64       `json:"neededBytes"`
	SharedBytes int64       `json:"sharedBytes"`
	Packed      int         `json:"packed"`
	SavedBytes  int64       `json:"savedBytes"`
	FreeSpace   int64       `json:"freeSpaceBytes"`
	TotalSpace  int64       `json:"totalSpaceBytes"`
	Models      []weightDoc `json:"models"`
	Quarantine  pileDoc     `json:"quarantine"`
	Partial     pileDoc     `json:"partial"`
	Trash       pileDoc     `json:"trash"`
	Leases      int         `json:"leases"`
	Acts        actsDoc     `json:"acts"`
}

func statsDocOf(r *mstore.Stats) statsDoc {
	doc := statsDoc{
		Blobs: r.Blobs, UsedBytes: r.Used, NeededBytes: r.Needed, SharedBytes: r.Shared,
		Packed: r.Packed, SavedBytes: r.Saved,
		FreeSpace: r.FreeSpace, TotalSpace: r.TotalSpace, Models: make([]weightDoc, 0, len(r.Models)),
		Quarantine: pileDoc(r.Quarantine), Partial: pileDoc(r.Partial), Trash: pileDoc(r.Trash), Leases: r.Leases,
		Acts: actsDocOf(&r.Acts),
	}
	for _, m := range r.Models {
		doc.Models = append(doc.Models, weightDoc{m.Tag.Name, m.Bytes, m.Alone, m.Tag.LastUsed, m.Tag.Pinned})
	}
	return doc
}

func actsDocOf(s *stats.Sum) actsDoc {
	doc := actsDoc{
		Pulls: orEmpty(s.Pulls), Pushes: orEmpty(s.Pushes), Imports: orEmpty(s.Imports), GC: orEmpty(s.Sweeps),
		Cached: s.Cached, BytesFetched: s.Fetched, BytesReused: s.Reused, BytesSent: s.Pushed, HitRate: s.HitRate(),
		Speed: s.Speed(), Retries: s.Retries, Removed: s.Removed, Freed: s.Freed,
	}
	if !s.From.IsZero() {
		doc.From = &s.From
	}
	return doc
}

func orEmpty(m map[string]int64) map[string]int64 {
	if m == nil {
		return map[string]int64{}
	}
	return m
}

func (p *program) statsText(r *mstore.Stats) error {
	rows := [][]string{
		{"models", count(int64(len(r.Models)), "name")},
		{"blobs", fmt.Sprintf("%d, %s", r.Blobs, size(r.Used))},
		{"shared", size(r.Shared) + " that models have in common, counted once"},
		{"not needed", size(r.Used-r.Needed) + " that gc would free"},
	}
	if r.Packed > 0 {
		rows = append(rows, []string{"packed", fmt.Sprintf("%s, which saves %s", count(int64(r.Packed), "blob"), size(r.Saved))})
	}
	if r.TotalSpace > 0 {
		rows = append(rows, []string{"disk", fmt.Sprintf("%s free of %s", size(r.FreeSpace), size(r.TotalSpace))})
	}
	for _, pile := range []struct {
		name string
		mstore.Pile
	}{{"partial blobs", r.Partial}, {"trash", r.Trash}, {"quarantine", r.Quarantine}} {
		if pile.Count > 0 {
			rows = append(rows, []string{pile.name, fmt.Sprintf("%d, %s", pile.Count, size(pile.Bytes))})
		}
	}
	rows = append(rows, actsRows(&r.Acts)...)
	return p.table(rows)
}

// actsRows tell what was done.
func actsRows(s *stats.Sum) [][]string {
	if s.From.IsZero() {
		return nil
	}
	rows := [][]string{{"since", s.From.Local().Format(time.DateTime)}}
	for _, act := range []struct {
		name string
		by   map[string]int64
	}{{"pulls", s.Pulls}, {"imports", s.Imports}, {"pushes", s.Pushes}, {"gc", s.Sweeps}} {
		if len(act.by) > 0 {
			rows = append(rows, []string{act.name, outcomes(act.by)})
		}
	}
	if len(s.Pulls) > 0 {
		const percent = 100
		rows = append(rows, []string{"fetched", fmt.Sprintf("%s at %s/s on average", size(s.Fetched), size(int64(s.Speed())))},
			[]string{"reused", fmt.Sprintf("%s, %.0f %% of what was asked for", size(s.Reused), percent*s.HitRate())})
	}
	if s.Pushed > 0 {
		rows = append(rows, []string{"sent", size(s.Pushed)})
	}
	if s.Freed > 0 {
		rows = append(rows, []string{"freed", size(s.Freed)})
	}
	return rows
}

// outcomes is "7 ok, 1 network".
func outcomes(by map[string]int64) string {
	parts := []string{fmt.Sprintf("%d %s", by[stats.OK], stats.OK)}
	for _, outcome := range slices.Sorted(maps.Keys(by)) {
		if outcome != stats.OK {
			parts = append(parts, fmt.Sprintf("%d %s", by[outcome], clean(outcome)))
		}
	}
	return strings.Join(parts, ", ")
}
