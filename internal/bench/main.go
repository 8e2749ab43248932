// Command bench measures mstore beside its peers, on real registries and real files, and prints a table.
//
// Each contest is one job that several contenders do: mstore, oras, crane, or a bound, which is the least that the job
// can cost on this machine (hashing, or writing and hashing). Contenders take turns, round after round, so that what
// the machine does meanwhile falls on all of them; the table has medians of wall time, of CPU time and of peak memory,
// and the ratio to mstore's wall time. Figures are not tests: nothing fails because it was slow.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/signal"
	"path/filepath"
	"regexp"

	"github.com/opencontainers/go-digest"
)

// options say what is measured and where.
type options struct {
	mstore string // the command
	tools  string // the folder with the registry and the peers that are built
	dir    string // where files are kept meanwhile; needs about ten times size, and 25 GiB more for the largest model
	memory string // a folder in memory, with room for a little more than size
	size   int64  // bytes of the large model
	rounds int
	tags   int // of the large store
	blobs  int // of the large store
	only   *regexp.Regexp
}

func main() {
	if len(os.Args) > 1 && chores[os.Args[1]] != nil {
		exit(chores[os.Args[1]](context.Background(), os.Args[2:]))
	}
	var opts options
	mib := flag.Int64("size", 2048, "the `MiB` of the large model")
	only := flag.String("only", "", "run the contests whose names match this `pattern`")
	flag.StringVar(&opts.mstore, "mstore", "bin/mstore", "the mstore `command`")
	flag.StringVar(&opts.tools, "tools", ".tools/bin", "the `folder` with registry, oras and crane")
	flag.StringVar(&opts.dir, "dir", os.TempDir(), "the `folder` to keep files in meanwhile")
	flag.StringVar(&opts.memory, "memory", "/dev/shm", "a `folder` in memory")
	flag.IntVar(&opts.rounds, "rounds", 3, "how `often` each contender runs")
	flag.IntVar(&opts.tags, "tags", 10_000, "how many `tags` the large store has")
	flag.IntVar(&opts.blobs, "blobs", 100_000, "how many `blobs` the large store has")
	flag.Parse()
	opts.size = *mib << 20
	var err error
	if opts.only, err = regexp.Compile(*only); err == nil {
		ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
		err = run(ctx, os.Stdout, opts)
		stop()
	}
	exit(err)
}

func exit(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
	os.Exit(0)
}

// chores are what the program does in a process of its own, as `bench CHORE ARG...`: bounds, so that they are measured
// as the others are, and whatever needs memory, because the peak of a process counts for every process it starts.
var chores = map[string]func(ctx context.Context, args []string) error{
	"model":          makeModel,
	"large-store":    makeLargeStore,
	"write-and-hash": writeAndHash,
	"hash-all":       hashAll,

	"layout":          makeLayout,
	"check":           check,
	"link":            serveLink,
	"kill-and-resume": resume,
}

// chore is the command line of a chore.
func chore(name string, args ...string) []string {
	self, err := os.Executable()
	if err != nil {
		self = os.Args[0]
	}
	return append([]string{self, name}, args...)
}

// run holds the contests in a temporary folder, which is gone when it returns.
func run(ctx context.Context, out io.Writer, opts options) (err error) {
	for _, path := range []*string{&opts.mstore, &opts.tools, &opts.dir} {
		if *path, err = filepath.Abs(*path); err != nil {
			return err
		}
	}
	dir, err := os.MkdirTemp(opts.dir, "mstore-bench-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, clean(dir)) }()
	b := &bench{options: opts, dir: dir, out: out, origins: make(map[digest.Digest]origin)}
	defer func() {
		b.stop()
		if b.memoryDir != "" {
			err = errors.Join(err, clean(b.memoryDir))
		}
	}()
	if err := b.makeCertificate(); err != nil {
		return err
	}
	if err := b.head(ctx); err != nil {
		return err
	}
	for _, c := range contests() {
		if !opts.only.MatchString(c.name) {
			continue
		}
		if err := b.hold(ctx, c); err != nil {
			return fmt.Errorf("%s: %w", c.name, err)
		}
	}
	return nil
}

// head says what was measured where, and how large the command is.
func (b *bench) head(ctx context.Context) error {
	info, err := os.Stat(b.mstore)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(b.out, "%s; model of %d MiB; medians of %d rounds; mstore is %.1f MB\n\n",
		machine(ctx), b.size>>20, b.rounds, float64(info.Size())/1e6)
	return err
}

// clean removes a folder with stores in it: their blobs are read-only, their folders are not.
func clean(dir string) error {
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err == nil && d.IsDir() {
			return os.Chmod(path, 0o700) //nolint:gosec // a folder of the bench's own, about to be removed
		}
		return err
	})
	return errors.Join(err, os.RemoveAll(dir)) //nolint:forbidigo // a folder that the bench made
}

// fresh is a new empty folder below the bench's, removed first when it is there.
func (b *bench) fresh(name string) (string, error) {
	path := filepath.Join(b.dir, name)
	return path, renew(path)
}

// renew makes a folder an empty one.
func renew(path string) error {
	if err := clean(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return os.Mkdir(path, 0o755)
}
