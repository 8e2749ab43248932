package main

import (
	"fmt"
	"math"
	"strconv"
	"strings"

	"github.com/urfave/cli/v2"

	"github.com/mstore/mstore/fetch/transfer"
)

// byteSize is the value of a flag that wants a number of bytes: "10MB", "1.5GiB", "500K", "4096". A unit without an i
// is a power of 1000, as size prints it. Zero stands for a flag that was not given.
type byteSize int64

// Set reads what was typed.
func (b *byteSize) Set(text string) error {
	n, err := parseSize(text)
	if err != nil {
		return fmt.Errorf("wants a size such as 64MiB or 1.5GB, not %q", text)
	}
	*b = byteSize(n)
	return nil
}

func (b *byteSize) String() string { return numberOrNone(int64(*b)) }

// byteRate is the value of a flag that wants bytes a second: "50MB/s", "50MB", "1048576".
type byteRate int64

// Set reads what was typed.
func (r *byteRate) Set(text string) error {
	n, err := parseSize(strings.TrimSuffix(text, "/s"))
	if err != nil {
		return fmt.Errorf("wants a rate such as 50MB/s, not %q", text)
	}
	*r = byteRate(n)
	return nil
}

func (r *byteRate) String() string { return numberOrNone(int64(*r)) }

// numberOrNone is what help shows as a default: nothing where there is none.
func numberOrNone(n int64) string {
	if n == 0 {
		return ""
	}
	return strconv.FormatInt(n, 10)
}

// parseSize reads a positive number of bytes with or without a unit, whose case does not matter.
func parseSize(text string) (int64, error) {
	number := strings.TrimRight(strings.ToLower(text), "kmgtpeib")
	unit := strings.ToLower(text)[len(number):]
	number = strings.TrimSuffix(number, " ")
	if strings.Trim(number, "0123456789.") != "" { // no signs, no exponents
		return 0, strconv.ErrSyntax
	}
	value, err := strconv.ParseFloat(number, 64)
	if err != nil {
		return 0, err
	}
	factor, ok := unitFactor(unit)
	if !ok {
		return 0, strconv.ErrSyntax
	}
	if value *= factor; value < 1 || value >= math.MaxInt64 {
		return 0, strconv.ErrRange
	}
	return int64(value), nil
}

// unitFactor is how many bytes a unit has: "", "b", "k", "kb", "kib" and so on up to e.
func unitFactor(unit string) (factor float64, ok bool) {
	const prefixes = "kmgtpe"
	if unit == "" || unit == "b" {
		return 1, true
	}
	power := strings.IndexByte(prefixes, unit[0]) + 1
	switch unit[1:] {
	case "", "b":
		return math.Pow(1000, float64(power)), power > 0
	case "i", "ib":
		return math.Pow(1024, float64(power)), power > 0
	default:
		return 0, false
	}
}

const (
	connectionsName = "connections"
	chunkSizeName   = "chunk-size"
	limitRateName   = "limit-rate"
	memoryName      = "memory"
)

// limitRateFlag is that of whatever moves bytes across the network.
func limitRateFlag() cli.Flag {
	return &cli.GenericFlag{Name: limitRateName, Usage: "use at most `RATE`, such as 50MB/s", Value: new(byteRate)}
}

// limitFlags are those of a pull.
func limitFlags() []cli.Flag {
	return []cli.Flag{
		&cli.IntFlag{Name: connectionsName, Usage: "hold `N` connections (default: as many as the server serves well, up to 32)"},
		&cli.GenericFlag{Name: chunkSizeName, Usage: "ask for `SIZE` at once (default: the engine chooses)", Value: new(byteSize)},
		limitRateFlag(),
		&cli.GenericFlag{Name: memoryName, Usage: "hold at most `SIZE` in buffers (default: 64MiB)", Value: new(byteSize)},
	}
}

// limits are what the flags of a command, as far as it has them, say of all its transfers together.
func limits(c *cli.Context) transfer.Limits {
	l := transfer.Limits{Connections: c.Int(connectionsName)}
	if rate, ok := c.Generic(limitRateName).(*byteRate); ok {
		l.Rate = int64(*rate)
	}
	if chunk, ok := c.Generic(chunkSizeName).(*byteSize); ok {
		l.ChunkSize = int64(*chunk)
	}
	if memory, ok := c.Generic(memoryName).(*byteSize); ok {
		l.Memory = int64(*memory)
	}
	return l
}
