package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"
)

// lineLimit is how many bytes of what a failed contender said are printed.
const lineLimit = 300

// table prints the medians; ratios are to the first contender, which is mstore. Below it stands why some have none.
func (b *bench) table(c contest, entries []*entry) error {
	w := tabwriter.NewWriter(b.out, 0, 0, 1, ' ', 0)
	title, rule := "", ""
	if c.figure != "" {
		title, rule = " "+c.figure+"\t|", "---\t|"
	}
	fmt.Fprintf(w, "| %s\t| wall s\t| fastest\t| CPU s\t| peak MB\t| mstore / it\t|%s\n", c.name, title)
	fmt.Fprintf(w, "|---\t|---\t|---\t|---\t|---\t|---\t|%s\n", rule)
	var notes []string
	for _, e := range entries {
		if e.err != nil {
			notes = append(notes, fmt.Sprintf("- %s: %s", e.name, reason(e.err)))
			if errors.Is(e.err, errLeftOut) {
				continue
			}
		}
		fmt.Fprint(w, e.row(entries[0], c.figure != ""))
	}
	if err := w.Flush(); err != nil {
		return err
	}
	if len(notes) > 0 {
		fmt.Fprintf(b.out, "\n%s\n", strings.Join(notes, "\n"))
	}
	_, err := fmt.Fprintln(b.out)
	return err
}

// row is one line of a table, in which ours is mstore's.
func (e *entry) row(ours *entry, figure bool) string {
	last := ""
	if e.err != nil {
		if figure {
			last = " -\t|"
		}
		return fmt.Sprintf("| %s\t| failed\t| -\t| -\t| -\t| -\t|%s\n", e.name, last)
	}
	took := e.median()
	ratio := "-"
	if ours.err == nil {
		ratio = fmt.Sprintf("%.2f", ours.median().wall/took.wall)
	}
	if figure {
		last = " -\t|"
		if e.figure != nil {
			last = " " + e.figure(took) + "\t|"
		}
	}
	fastest := slices.MinFunc(e.costs, func(a, b cost) int { return int((a.wall - b.wall) * 1e9) })
	return fmt.Sprintf("| %s\t| %s\t| %s\t| %s\t| %.0f\t| %s\t|%s\n",
		e.name, seconds(took.wall), seconds(fastest.wall), seconds(took.cpu), float64(took.memory)/1e6, ratio, last)
}

// reason is why an entry has no figures, in one line.
func reason(err error) string {
	if failed, ok := errors.AsType[*failure](err); ok {
		return "failed: " + failed.brief()
	}
	return err.Error()
}

// median is a run that nobody made: the median of each figure.
func (e *entry) median() cost {
	return cost{
		wall:   median(e.costs, func(c cost) float64 { return c.wall }),
		cpu:    median(e.costs, func(c cost) float64 { return c.cpu }),
		memory: int64(median(e.costs, func(c cost) float64 { return float64(c.memory) })),
		sent:   int64(median(e.costs, func(c cost) float64 { return float64(c.sent) })),
	}
}

func median(costs []cost, of func(cost) float64) float64 {
	values := make([]float64, 0, len(costs))
	for _, c := range costs {
		values = append(values, of(c))
	}
	slices.Sort(values)
	return (values[(len(values)-1)/2] + values[len(values)/2]) / 2
}

func seconds(s float64) string { return strconv.FormatFloat(s, 'f', 3, 64) }

// machine is what the figures were taken on.
func machine(ctx context.Context) string {
	out, err := exec.CommandContext(ctx, "uname", "-sm").Output()
	if err != nil {
		return "unknown machine"
	}
	host := strings.TrimSpace(string(out))
	raw, err := os.ReadFile("/proc/cpuinfo")
	if err != nil {
		return host
	}
	info := string(raw)
	model := "CPU"
	for line := range strings.Lines(info) {
		if name, value, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(name) == "model name" {
			model = strings.TrimSpace(value)
		}
	}
	return fmt.Sprintf("%s, %d x %s", host, strings.Count(info, "processor\t"), model)
}
