//go:build !linux

package main

import "github.com/rogpeppe/go-internal/testscript"

// onTTY is for Linux.
func onTTY(ts *testscript.TestScript, _ bool, _ []string) {
	ts.Fatalf("onatty needs Linux: guard it with [linux]")
}
