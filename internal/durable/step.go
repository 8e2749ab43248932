//go:build !failpoints || !unix

package durable

import (
	"io"
	"os"
)

// step does one system call on path. In a build with the tag failpoints it may fail, or be the last thing that the
// process does (see failpoints.go); here it is the call and nothing else.
func step(_, _ string, call func() error) error { return call() }

// writing is step for a call that writes p.
func writing(_, _ string, p []byte, call func(p []byte) (int, error)) (int, error) { return call(p) }

// Writer is f, to be written to from where it stands.
//
//	write, or copy_file_range, for each piece
func Writer(f *os.File) io.Writer { return f }
