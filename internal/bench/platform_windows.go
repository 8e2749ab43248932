package main

import (
	"math"
	"os"
	"os/exec"
)

// syncDisks does nothing: there is no such call.
func syncDisks() {}

// peakMemory is not known.
func peakMemory(*os.ProcessState) int64 { return 0 }

// group does nothing: what a command starts there is not ended with it.
func group(*exec.Cmd) {}

// freeBytes is not known.
func freeBytes(string) (int64, error) { return math.MaxInt64, nil }
