package transfer

import (
	"context"
	"errors"
	"fmt"
	"time"
)

const (
	// baseWait and mostWait bound the wait before a retry: it is picked from [0, baseWait * 2^retries], so that the
	// fifth costs 2 s on average.
	baseWait = 250 * time.Millisecond
	mostWait = 30 * time.Second
	// MaxRetryAfter is the longest Retry-After that is obeyed; a server that asks for more is asked again after this.
	MaxRetryAfter = 60 * time.Second
	// refill is how much progress gives one retry back. A server that cuts every connection after 64 KiB is overcome,
	// one that gives a byte a connection is not.
	refill = 64 << 10
)

// budget is how many tries are used up. What is spent grows by one with each failure and shrinks with progress; it is
// also how far the backoff has gone.
type budget struct{ spent float64 }

// spend takes a failure after got bytes of progress and says how long to wait; ok is false when nothing is left. The
// first failure after progress costs no wait: a connection that broke is replaced at once.
func (b *budget) spend(opts Options, err error, got int64) (wait time.Duration, ok bool) {
	b.spent = max(0, b.spent-float64(got)/refill) + 1
	if b.spent > float64(max(0, opts.Retries)) {
		return 0, false
	}
	if got < refill || b.spent > 1 {
		most := baseWait
		for range int(b.spent) - 1 {
			most = min(2*most, mostWait)
		}
		wait = opts.Jitter(most)
	}
	if status, ok := errors.AsType[*StatusError](err); ok {
		wait = max(wait, min(status.RetryAfter, MaxRetryAfter))
	}
	return wait, true
}

// usedUp is err when the budget had an end.
func (o Options) usedUp(err error) error {
	if o.Retries <= 0 {
		return err
	}
	return fmt.Errorf("given up after %d retries: %w", o.Retries, err)
}

// Retry calls try until it succeeds, fails with an error that is not worth a retry, or the retries of opts are used
// up. It is for requests without a body to resume; opts.Stall is not looked at. The error is the last one of try, or
// ctx's.
func Retry(ctx context.Context, opts Options, try func(ctx context.Context) error) error {
	opts = opts.withDefaults()
	var b budget
	for attempt := 1; ; attempt++ {
		err := try(ctx)
		if err == nil {
			return nil
		}
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		if !Retryable(err) {
			return err
		}
		wait, ok := b.spend(opts, err, 0)
		if !ok {
			return opts.usedUp(err)
		}
		if opts.Retry != nil {
			opts.Retry(attempt, wait, err)
		}
		if err := sleep(ctx, wait); err != nil {
			return err
		}
	}
}
