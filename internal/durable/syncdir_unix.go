//go:build unix

package durable

import (
	"errors"
	"os"
	"syscall"
)

const errNotDir = syscall.ENOTDIR

func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
