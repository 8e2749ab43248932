//go:build !unix

package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"

	"github.com/mstore/mstore"
)

// become runs the command as a child and ends as it ends. An interrupt reaches both; this process waits.
func (p *program) become(_ *mstore.Use, path string, words, env []string) error {
	cmd := exec.Command(path, words[1:]...) //nolint:gosec,noctx // running what the user typed is what this is for; it ends when it ends
	cmd.Env, cmd.Stdin, cmd.Stdout, cmd.Stderr = env, os.Stdin, os.Stdout, os.Stderr
	err := cmd.Run()
	var status *exec.ExitError
	switch {
	case errors.As(err, &status):
		return statusError(status.ExitCode())
	case err != nil:
		return fmt.Errorf("exec %s: %w", path, err)
	}
	return nil
}
