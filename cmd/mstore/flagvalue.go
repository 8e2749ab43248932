package main

import (
	"strconv"
	"time"

	"github.com/urfave/cli/v2"
)

// checkValue says what is wrong with a value before cli would say it in Go's words.
func checkValue(f cli.Flag, value string, given bool) error {
	name := f.Names()[0]
	if !given || value == "" {
		return usagef("--%s wants a value", name)
	}
	switch f := f.(type) {
	case *cli.GenericFlag:
		if err := f.Value.Set(value); err != nil {
			return usagef("--%s %v", name, err)
		}
	case *cli.IntFlag:
		if n, err := strconv.Atoi(value); err != nil || n < 0 {
			return usagef("--%s wants a whole number, not %q", name, value)
		}
	case *cli.Int64Flag:
		if n, err := strconv.ParseInt(value, 10, 64); err != nil || n < 0 {
			return usagef("--%s wants a number of bytes, not %q", name, value)
		}
	case *cli.DurationFlag:
		if d, err := time.ParseDuration(value); err != nil || d < 0 {
			return usagef("--%s wants a duration with its unit, such as 90s, 5m or 24h, not %q", name, value)
		}
	}
	return nil
}
