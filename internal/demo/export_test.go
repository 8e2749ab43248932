package main

import (
	"context"
	"io"
)

// SameTree is for the tests.
var SameTree = sameTree

// Run is the demo with the programs and the model given by their paths.
func Run(ctx context.Context, out io.Writer, mstore, registry, model string) error {
	return run(ctx, out, options{mstore: mstore, registry: registry, model: model})
}
