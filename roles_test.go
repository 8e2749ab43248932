package mstore_test

import (
	"context"

	"github.com/mstore/mstore"
)

// roleArgs is what a child process is told.
type roleArgs struct {
	Dir, Ref, As string
	Paths        []string
}

// roles are what child processes do.
var roles = map[string]func(ctx context.Context, a roleArgs) (any, error){
	"pull": func(ctx context.Context, a roleArgs) (any, error) {
		s, err := mstore.Open(a.Dir, quiet())
		if err != nil {
			return nil, err
		}
		return s.Pull(ctx, a.Ref, mstore.PullOptions{As: a.As})
	},
	"import": func(ctx context.Context, a roleArgs) (any, error) {
		s, err := mstore.Open(a.Dir, quiet())
		if err != nil {
			return nil, err
		}
		return s.Import(ctx, a.Paths, a.As, mstore.ImportOptions{})
	},
}
