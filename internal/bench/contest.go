package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/mstore/mstore/internal/registrytest"
)

// contest is one job.
type contest struct {
	name string
	// prepare makes what all contenders need, once, and gives them.
	prepare func(ctx context.Context, b *bench) ([]contender, error)
}

// contender does the job, by a command.
type contender struct {
	name  string
	reset func(ctx context.Context) error // before each run, not measured; nil: nothing to do
	args  []string
}

// cost is what one run took.
type cost struct {
	wall, cpu float64 // seconds
	memory    int64   // peak, bytes
}

// bench is one run of the program.
type bench struct {
	options
	dir string
	out io.Writer

	registries []*registrytest.Registry
}

// registry starts a registry that keeps its files in the folder conf and runs until the bench ends.
func (b *bench) registry(ctx context.Context, conf string, opts registrytest.Options) (*registrytest.Registry, error) {
	r, err := registrytest.Serve(ctx, b.tool("registry"), conf, opts)
	if err == nil {
		b.registries = append(b.registries, r)
	}
	return r, err
}

func (b *bench) stopRegistries() {
	for _, r := range b.registries {
		r.Stop()
	}
}

// hold runs the contenders of a contest in turns and prints what they took.
func (b *bench) hold(ctx context.Context, c contest) error {
	contenders, err := c.prepare(ctx, b)
	if err != nil {
		return err
	}
	costs := make([][]cost, len(contenders))
	for range b.rounds {
		for i, contender := range contenders {
			took, err := contender.run(ctx)
			if err != nil {
				return fmt.Errorf("%s: %w", contender.name, err)
			}
			costs[i] = append(costs[i], took)
		}
	}
	return b.table(c.name, contenders, costs)
}

func (c contender) run(ctx context.Context) (cost, error) {
	if c.reset != nil {
		if err := c.reset(ctx); err != nil {
			return cost{}, err
		}
	}
	syncDisks()
	start := time.Now()
	cmd := exec.CommandContext(ctx, c.args[0], c.args[1:]...) //nolint:gosec // the contenders are ours to name
	var said bytes.Buffer
	cmd.Stdout, cmd.Stderr = &said, &said
	if err := cmd.Run(); err != nil {
		return cost{}, fmt.Errorf("%s: %w: %s", strings.Join(c.args, " "), err, said.Bytes())
	}
	state := cmd.ProcessState
	return cost{
		wall: time.Since(start).Seconds(), cpu: (state.UserTime() + state.SystemTime()).Seconds(),
		memory: peakMemory(state),
	}, nil
}

// table prints the medians; ratios are to the first contender, which is mstore.
func (b *bench) table(name string, contenders []contender, costs [][]cost) error {
	w := tabwriter.NewWriter(b.out, 0, 0, 1, ' ', 0)
	fmt.Fprintf(w, "| %s\t| wall s\t| fastest\t| CPU s\t| peak MB\t| mstore / it\t|\n", name)
	fmt.Fprintf(w, "|---\t|---\t|---\t|---\t|---\t|---\t|\n")
	ours := median(costs[0], func(c cost) float64 { return c.wall })
	for i, contender := range contenders {
		wall := median(costs[i], func(c cost) float64 { return c.wall })
		fastest := slices.MinFunc(costs[i], func(a, b cost) int { return int((a.wall - b.wall) * 1e9) })
		cpu := median(costs[i], func(c cost) float64 { return c.cpu })
		memory := median(costs[i], func(c cost) float64 { return float64(c.memory) })
		fmt.Fprintf(w, "| %s\t| %s\t| %s\t| %s\t| %.0f\t| %.2f\t|\n",
			contender.name, seconds(wall), seconds(fastest.wall), seconds(cpu), memory/1e6, ours/wall)
	}
	fmt.Fprintln(w)
	return w.Flush()
}

func median(costs []cost, of func(cost) float64) float64 {
	values := make([]float64, 0, len(costs))
	for _, c := range costs {
		values = append(values, of(c))
	}
	slices.Sort(values)
	return (values[(len(values)-1)/2] + values[len(values)/2]) / 2
}

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
