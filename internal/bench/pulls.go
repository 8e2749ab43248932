package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
)

// files of a model that is several.
const several = 4

// far is the way to a server that gives 25 MB/s a connection, 50 ms away.
func far() shape { return shape{rate: farRate, delay: farDelay} }

// memory is a fresh folder on a disk that is memory, for files of size bytes.
func (b *bench) memory(name string, size int64) (string, error) {
	free, err := freeBytes(b.options.memory)
	if err != nil {
		return "", fmt.Errorf("%w: no memory disk: %w", errLeftOut, err)
	}
	if need := size + size/4; free < need {
		return "", fmt.Errorf("%w: %s has %d MiB free and needs %d", errLeftOut, b.options.memory, free>>20, need>>20)
	}
	if b.memoryDir == "" {
		if b.memoryDir, err = os.MkdirTemp(b.options.memory, "mstore-bench-"); err != nil {
			return "", err
		}
	}
	dir := filepath.Join(b.memoryDir, name)
	return dir, renew(dir)
}

// fromRegistry is a contest to pull n files from the distribution registry.
func fromRegistry(n int, inMemory bool, pulls ...pull) func(context.Context, *bench) ([]contender, error) {
	return func(ctx context.Context, b *bench) ([]contender, error) {
		to, err := b.fresh("pulled")
		if inMemory && err == nil {
			to, err = b.memory("pulled", b.size)
		}
		if err != nil {
			return nil, err
		}
		l, err := b.layout(ctx, n, b.size, false)
		if err != nil {
			return nil, err
		}
		from, err := b.distribution(ctx, l)
		if err != nil {
			return nil, err
		}
		return b.pullers(from, to, append([]pull{mstorePull()}, pulls...)...), nil
	}
}

// fromNginx is a contest to pull one file from nginx, which listens as the words say, at the end of a link.
func fromNginx(most int64, listen string, s shape, pulls ...pull) func(context.Context, *bench) ([]contender, error) {
	return func(ctx context.Context, b *bench) ([]contender, error) {
		size := min(most, b.size)
		to, err := b.memory("pulled", size)
		if err != nil {
			return nil, err
		}
		l, err := b.layout(ctx, 1, size, false)
		if err != nil {
			return nil, err
		}
		from, err := b.nginx(ctx, l, listen)
		if err == nil && s != (shape{}) {
			from, err = from.behind(b, s)
		}
		if err != nil {
			return nil, err
		}
		return b.pullers(from, to, pulls...), nil
	}
}

// ofLine is how much of n connections of the far server a pull used.
func ofLine(p pull, n int) pull {
	return func(b *bench, from origin, to string) contender {
		c := p(b, from, to)
		c.figure = func(took cost) string {
			return fmt.Sprintf("%.2f of %d x 25 MB/s", float64(from.bytes())/took.wall/float64(n*farRate), n)
		}
		return c
	}
}

// sentFor is how many bytes the server sent for one byte of the model.
func sentFor(p pull) pull {
	return func(b *bench, from origin, to string) contender {
		c := p(b, from, to)
		c.figure = func(took cost) string { return fmt.Sprintf("%.3f", float64(took.sent)/float64(from.bytes())) }
		return c
	}
}

// allowed is the peak memory that a pull with n connections is to stay under.
func allowed(p pull, n int) pull {
	return func(b *bench, from origin, to string) contender {
		c := p(b, from, to)
		c.figure = func(cost) string { return fmt.Sprintf("%.0f MB", float64((64+2*n)<<20)/1e6) }
		return c
	}
}

// huge pulls a model that is larger than memory.
func huge(ctx context.Context, b *bench) ([]contender, error) {
	free, err := freeBytes(b.dir)
	if err != nil {
		return nil, err
	}
	if free < hugeFile+hugeFile/4 {
		return nil, fmt.Errorf("%w: %s has %d MiB free", errLeftOut, b.dir, free>>20)
	}
	to, err := b.fresh("pulled")
	if err != nil {
		return nil, err
	}
	l, err := b.layout(ctx, 1, hugeFile, true)
	if err != nil {
		return nil, err
	}
	from, err := b.nginx(ctx, l, "")
	if err != nil {
		return nil, err
	}
	return b.pullers(from, to, allowed(mstorePull(), 8), allowed(mstorePull("--connections", "32"), 32)), nil
}
