package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"strings"

	"github.com/urfave/cli/v2"

	"github.com/mstore/mstore"
)

// modelVariable is where the command finds the model's folder.
const modelVariable = "MSTORE_MODEL"

func (p *program) execCommand() *cli.Command {
	return &cli.Command{
		Name: execName, Usage: "run a command with a model's folder in MSTORE_MODEL", ArgsUsage: "NAME -- CMD...",
		Description: `The model stays in the store for as long as the command runs, whatever is dropped and collected
meanwhile. All that follows the command is its own; its exit code is mstore's.`,
		Action: p.action(p.exec),
	}
}

func (p *program) exec(ctx context.Context, c *cli.Context) error {
	name, words := c.Args().First(), c.Args().Tail()
	if words[0] == "--" && len(words) > 1 { // exec -- NAME -- CMD
		words = words[1:]
	}
	path, err := exec.LookPath(words[0])
	if err != nil {
		return noCommand(words[0], err)
	}
	return p.withStore(c, func(s *mstore.Store) (err error) {
		use, err := s.Use(ctx, name)
		if err != nil {
			return err
		}
		defer func() { err = errors.Join(err, use.Release()) }()
		return p.become(use, path, words, environ(use.Dir))
	})
}

// environ is the environment of the command.
func environ(dir string) []string {
	var env []string
	for _, e := range os.Environ() {
		if !strings.HasPrefix(e, modelVariable+"=") {
			env = append(env, e)
		}
	}
	return append(env, modelVariable+"="+dir)
}

// noCommand is the error about a command that exec cannot run.
func noCommand(command string, err error) error {
	why, cause := err.Error(), err
	if inPath, ok := errors.AsType[*exec.Error](err); ok {
		why, cause = inPath.Err.Error(), inPath.Err
	}
	class := mstore.ErrStorage // it is there, and cannot be run
	if errors.Is(cause, exec.ErrNotFound) || errors.Is(cause, fs.ErrNotExist) {
		class = mstore.ErrNotFound
	}
	return &advised{
		cause: class, text: fmt.Sprintf("exec %s: %s", command, why), hint: "give a command that is in PATH, or its path",
	}
}
