package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os/exec"
	"strconv"
	"time"
)

const (
	kills     = 20
	killSize  = 500_000_000 // bytes
	killSeed  = 3
	killLines = 16 // connections
)

// killAndResume pulls twenty times, kills each pull once, and starts it again.
func killAndResume(ctx context.Context, b *bench) ([]contender, error) {
	pulls, err := fromNginx(killSize, "", far(), mstorePull("--connections", strconv.Itoa(killLines)))(ctx, b)
	if err != nil {
		return nil, err
	}
	c := pulls[0]
	whole, err := c.run(ctx) // how long a pull takes that nobody kills
	if err != nil {
		return []contender{c}, nil //nolint:nilerr // it fails again when the contest is held, and that is its result
	}
	c.name = fmt.Sprintf("%s, seed %d", c.name, killSeed)
	c.args = chore("kill-and-resume", append([]string{
		b.memoryDir + "/pulled", strconv.Itoa(killSeed), strconv.FormatFloat(whole.wall, 'f', -1, 64),
	}, c.args...)...)
	c.figure = func(took cost) string {
		return fmt.Sprintf("%.3f", float64(took.sent)/float64(kills*min(killSize, b.size)))
	}
	return []contender{c}, nil
}

// resume is the chore of killAndResume: DIR SEED SECONDS COMMAND... The folder is emptied before each round; the moment
// of the kill lies anywhere in the seconds that a pull takes.
func resume(ctx context.Context, args []string) error {
	seed, err := strconv.ParseUint(args[1], 10, 64)
	if err != nil {
		return err
	}
	whole, err := strconv.ParseFloat(args[2], 64)
	if err != nil {
		return err
	}
	moments := rand.New(rand.NewPCG(seed, seed))
	for round := range kills {
		if err := renew(args[0]); err != nil {
			return err
		}
		after := time.Duration(moments.Float64() * whole * float64(time.Second))
		killed, cancel := context.WithTimeout(ctx, after)
		err := exec.CommandContext(killed, args[3], args[4:]...).Run() //nolint:gosec // the bench says what
		cancel()
		if err == nil {
			continue // it was faster
		}
		if !errors.Is(killed.Err(), context.DeadlineExceeded) {
			return fmt.Errorf("round %d, not killed: %w", round, err)
		}
		if out, err := exec.CommandContext(ctx, args[3], args[4:]...).CombinedOutput(); err != nil { //nolint:gosec // as above
			return fmt.Errorf("round %d, killed after %v and started again: %w: %s", round, after, err, out)
		}
	}
	return nil
}
