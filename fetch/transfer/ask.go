package transfer

import (
	"context"
	"errors"
	"syscall"
)

// Ask is [Retry] for the first request to a server: each try has as long as a transfer may stand still, and nobody
// listening is not waited for. At the start of something that is a wrong name far more often than a server that comes
// back.
func Ask(ctx context.Context, opts Options, try func(ctx context.Context) error) error {
	var dead error
	err := Retry(ctx, opts, func(ctx context.Context) error {
		err := InTime(ctx, opts, try)
		if errors.Is(err, syscall.ECONNREFUSED) {
			dead = err
			return errRefused
		}
		return err
	})
	if errors.Is(err, errRefused) {
		return dead
	}
	return err
}

var errRefused = errors.New("connection refused")

// InTime calls try, which has as long as a transfer may stand still: the error is a [StallError] then.
func InTime(ctx context.Context, opts Options, try func(ctx context.Context) error) error {
	stall := opts.Stall
	if stall <= 0 {
		stall = DefaultStall
	}
	timed, cancel := context.WithTimeoutCause(ctx, stall, &StallError{For: stall})
	defer cancel()
	err := try(timed)
	if err != nil && timed.Err() != nil {
		return context.Cause(timed)
	}
	return err
}
