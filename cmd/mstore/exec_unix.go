//go:build unix

package main

import (
	"fmt"
	"runtime"
	"syscall"

	"github.com/mstore/mstore"
)

// become makes this process the command. The descriptor that holds the model stays open in it, and closes with it.
func (p *program) become(use *mstore.Use, path string, words, env []string) error {
	hold, err := use.Keep()
	if err != nil {
		return err
	}
	err = syscall.Exec(path, words, env) //nolint:gosec // running what the user typed is what this is for
	runtime.KeepAlive(hold)
	return fmt.Errorf("exec %s: %w", path, err)
}
