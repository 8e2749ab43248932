package main

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"strconv"

	"golang.org/x/sync/errgroup"
)

const piece = 1 << 20 // bytes

// model makes a folder with a model of n files that have size bytes together.
func (b *bench) model(ctx context.Context, name string, n int, size int64) (string, error) {
	dir, err := b.fresh(name)
	if err != nil {
		return "", err
	}
	_, err = contender{args: chore("model", dir, strconv.Itoa(n), strconv.FormatInt(size, 10))}.run(ctx)
	return dir, err
}

// makeModel is the chore of model: DIR N SIZE. The bytes are random, the same on every run, and no file system and no
// wire can make them smaller.
func makeModel(_ context.Context, args []string) error {
	n, err := strconv.Atoi(args[1])
	if err != nil {
		return err
	}
	size, err := strconv.ParseInt(args[2], 10, 64)
	if err != nil {
		return err
	}
	for i := range n {
		random := rand.NewChaCha8(sha256.Sum256(fmt.Appendf(nil, "%s %d", filepath.Base(args[0]), i)))
		path := filepath.Join(args[0], fmt.Sprintf("model-%05d-of-%05d.safetensors", i+1, n))
		if err := write(path, io.LimitReader(random, size/int64(n)), nil, false); err != nil {
			return err
		}
	}
	return nil
}

// write puts what r has into a new file, in pieces, and each piece into also, when that is not nil.
func write(path string, r io.Reader, also chan<- []byte, sync bool) (err error) {
	file, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o644)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, file.Close()) }()
	for {
		buf := make([]byte, piece)
		n, err := io.ReadFull(r, buf)
		if n > 0 {
			if _, err := file.Write(buf[:n]); err != nil {
				return err
			}
			if also != nil {
				also <- buf[:n]
			}
		}
		if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
			break
		}
		if err != nil {
			return err
		}
	}
	if !sync {
		return nil
	}
	return file.Sync() //nolint:forbidigo // a bound pays for what the store pays for
}

// writeAndHash is a chore, FROM TO, and the least that an import can cost: each file is read, written, hashed on
// another core, and synced.
func writeAndHash(ctx context.Context, args []string) error {
	return eachFile(args[0], func(path string) error {
		src, err := os.Open(path)
		if err != nil {
			return err
		}
		defer func() { _ = src.Close() }()
		pieces := make(chan []byte, 4)
		group, _ := errgroup.WithContext(ctx)
		group.Go(func() error {
			defer close(pieces)
			return write(filepath.Join(args[1], filepath.Base(path)), src, pieces, true)
		})
		hash := sha256.New()
		for p := range pieces {
			hash.Write(p)
		}
		return group.Wait()
	})
}

// hashAll is a chore, DIR, and the least that a verification can cost: every file is read and hashed, as many at once
// as there are cores.
func hashAll(ctx context.Context, args []string) error {
	group, _ := errgroup.WithContext(ctx)
	group.SetLimit(runtime.NumCPU())
	err := eachFile(args[0], func(path string) error {
		group.Go(func() error {
			file, err := os.Open(path)
			if err != nil {
				return err
			}
			hash := sha256.New()
			_, err = io.CopyBuffer(struct{ io.Writer }{hash}, struct{ io.Reader }{file}, make([]byte, piece))
			return errors.Join(err, file.Close())
		})
		return nil
	})
	return errors.Join(err, group.Wait())
}

func eachFile(dir string, do func(path string) error) error {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	for _, e := range entries {
		if err := do(filepath.Join(dir, e.Name())); err != nil {
			return err
		}
	}
	return nil
}
