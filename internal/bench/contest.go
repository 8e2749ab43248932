package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/opencontainers/go-digest"
)

// runLimit is how long one run may take: 2 GiB at 25 MB/s take a third of it.
const runLimit = 5 * time.Minute

// errLeftOut is why a contest is not held on this machine.
var errLeftOut = errors.New("left out")

// contest is one job.
type contest struct {
	name string
	// prepare makes what all contenders need, once, and gives them.
	prepare func(ctx context.Context, b *bench) ([]contender, error)
	figure  string // the title of a column for the contenders' figures; empty: there is none
	once    bool   // a round is long, and one is enough
}

// contender does the job, by a command.
type contender struct {
	name  string
	reset func(ctx context.Context) error // before each run, not measured; nil: nothing to do
	args  []string                        // a first one without a slash is found among the tools, or as a shell finds it
	env   []string                        // beside the bench's own
	check func(ctx context.Context) error // after the first run: whether the job was done; nil: its exit code is enough
	link  *link                           // whose bytes are counted; nil: none
	// figure is what the column of the contest says of the median run; nil: nothing.
	figure func(cost) string
}

// cost is what one run took.
type cost struct {
	wall, cpu float64 // seconds
	memory    int64   // peak, bytes
	sent      int64   // bytes that the server sent, where there is a link
}

// bench is one run of the program.
type bench struct {
	options
	dir string
	out io.Writer

	origins   map[digest.Digest]origin // registries that have a model, by its manifest
	memoryDir string                   // below options.memory, made by the first contest that needs it
	stops     []func()                 // end what was started
}

// stop ends all servers, the last one first: links before what they lead to.
func (b *bench) stop() {
	for _, stop := range b.stops {
		defer stop()
	}
}

// tool is the path of a program: one of the tools, or what a shell would run. It is empty when there is none.
func (b *bench) tool(name string) string {
	path := filepath.Join(b.tools, name)
	if _, err := os.Stat(path); err == nil {
		return path
	}
	path, _ = exec.LookPath(name)
	return path
}

// hold runs the contenders of a contest in turns and prints what they took. Who fails once runs no more: that is a
// result too, and no error.
func (b *bench) hold(ctx context.Context, c contest) error {
	all, err := c.prepare(ctx, b)
	if errors.Is(err, errLeftOut) {
		_, err = fmt.Fprintf(b.out, "%s: %v\n\n", c.name, err)
		return err
	}
	if err != nil {
		return err
	}
	entries := b.admit(all)
	rounds := b.rounds
	if c.once {
		rounds = 1
	}
	for range rounds {
		for _, e := range entries {
			if e.err == nil {
				e.run(ctx)
			}
			if ctx.Err() != nil {
				return ctx.Err()
			}
		}
	}
	return b.table(c, entries)
}

// entry is a contender of a contest that is held, and how it fares.
type entry struct {
	contender
	costs []cost
	err   error // why it runs no more
}

// admit finds the contenders' programs; who has none is left out.
func (b *bench) admit(all []contender) []*entry {
	entries := make([]*entry, 0, len(all))
	for _, c := range all {
		e := &entry{contender: c}
		if path := b.tool(c.args[0]); !strings.ContainsRune(c.args[0], filepath.Separator) {
			e.args = append([]string{path}, c.args[1:]...)
			if path == "" {
				e.err = fmt.Errorf("%w: %s is not installed", errLeftOut, c.args[0])
			}
		}
		entries = append(entries, e)
	}
	return entries
}

// run is one run, and after the first one the check.
func (e *entry) run(ctx context.Context) {
	took, err := e.contender.run(ctx)
	if err == nil && e.check != nil && len(e.costs) == 0 {
		err = e.check(ctx)
	}
	if e.err = err; err == nil {
		e.costs = append(e.costs, took)
	}
}

func (c contender) run(ctx context.Context) (took cost, err error) {
	if c.reset != nil {
		if err := c.reset(ctx); err != nil {
			return cost{}, err
		}
	}
	if c.link != nil {
		before, err := c.link.sent()
		if err != nil {
			return cost{}, err
		}
		defer func() {
			after, failed := c.link.sent()
			took.sent, err = after-before, errors.Join(err, failed)
		}()
	}
	syncDisks()
	ctx, cancel := context.WithTimeout(ctx, runLimit)
	defer cancel()
	cmd := exec.CommandContext(ctx, c.args[0], c.args[1:]...) //nolint:gosec // the contenders are ours to name
	cmd.Env = append(os.Environ(), c.env...)
	var said bytes.Buffer
	cmd.Stdout, cmd.Stderr = &said, &said
	group(cmd)
	start := time.Now()
	if err := cmd.Run(); err != nil {
		return cost{}, &failure{err: errors.Join(err, ctx.Err()), args: c.args, said: said.String()}
	}
	state := cmd.ProcessState
	return cost{
		wall: time.Since(start).Seconds(), cpu: (state.UserTime() + state.SystemTime()).Seconds(),
		memory: peakMemory(state),
	}, nil
}

// failure is a run that did not end well.
type failure struct {
	err  error
	args []string
	said string
}

func (f *failure) Error() string {
	return fmt.Sprintf("%s: %v: %s", strings.Join(f.args, " "), f.err, f.said)
}

func (f *failure) Unwrap() error { return f.err }

// brief is the first line of what the contender said that speaks of an error, or else the first one.
func (f *failure) brief() string {
	lines := strings.Split(strings.TrimSpace(f.said), "\n")
	line := lines[max(0, slices.IndexFunc(lines, func(line string) bool { return strings.Contains(line, "rror") }))]
	if len(line) > lineLimit {
		line = line[:lineLimit] + "…"
	}
	return fmt.Sprintf("%v: %s", f.err, line)
}
