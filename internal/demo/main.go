// Command demo shows the main job on real parts: it starts a real registry on a free port of this machine and takes a
// model through everything that a model goes through. It says in plain words what it does and what it saw, stops with
// an error at the first thing that is not as said, and leaves nothing behind.
//
// It uses mstore only as a person would, through the command.
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

	"github.com/mstore/mstore/internal/registrytest"
)

// options are what the demo needs: two programs and a model.
type options struct {
	mstore   string // the mstore command
	registry string // the distribution registry
	model    string // a folder with a model
}

func main() {
	var opts options
	flag.StringVar(&opts.mstore, "mstore", "bin/mstore", "the mstore `command`")
	flag.StringVar(&opts.registry, "registry", ".tools/bin/registry", "the distribution registry, a `command`")
	flag.StringVar(&opts.model, "model", "testdata/tiny-llama", "the `folder` of a model")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	err := run(ctx, os.Stdout, opts)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "\nThe demo failed:", err)
		os.Exit(1)
	}
}

// run is the demo in a temporary folder, which is gone when it returns.
func run(ctx context.Context, out io.Writer, opts options) (err error) {
	dir, err := os.MkdirTemp("", "mstore-demo-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, clean(dir)) }()
	conf := filepath.Join(dir, "registry")
	if err := os.Mkdir(conf, 0o700); err != nil {
		return err
	}
	registry, err := registrytest.Serve(ctx, opts.registry, conf, registrytest.Options{})
	if err != nil {
		return err
	}
	defer registry.Stop()
	s := &show{
		out: out, dir: dir, command: opts.mstore, model: opts.model,
		reference: registry.Host + "/demo/tiny-llama:v1",
		first:     filepath.Join(dir, "first"), second: filepath.Join(dir, "second"),
	}
	s.say("A real registry (distribution) listens on %s, and keeps its files in %s.", registry.Host, dir)
	return s.all(ctx)
}

// clean removes the demo's folder. What a store holds is read-only, so the folders are opened first.
func clean(dir string) error {
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err == nil && d.IsDir() {
			return os.Chmod(path, 0o700) //nolint:gosec // a folder of the demo's own, about to be removed
		}
		return err
	})
	return errors.Join(err, os.RemoveAll(dir)) //nolint:forbidigo // the folder that run made
}
