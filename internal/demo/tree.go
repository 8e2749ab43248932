package main

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// sameTree compares two folders, every name and every byte, and counts their files.
func sameTree(want, got string) (int, error) {
	a, err := tree(want)
	if err != nil {
		return 0, err
	}
	b, err := tree(got)
	if err != nil {
		return 0, err
	}
	for name := range b {
		if _, ok := a[name]; !ok {
			return 0, fmt.Errorf("%s is only in %s", name, got)
		}
	}
	for name, text := range a {
		other, ok := b[name]
		if !ok {
			return 0, fmt.Errorf("%s is only in %s", name, want)
		}
		if !bytes.Equal(text, other) {
			return 0, fmt.Errorf("%s is not the same", name)
		}
	}
	return len(a), nil
}

func tree(dir string) (map[string][]byte, error) {
	files := map[string][]byte{}
	fsys := os.DirFS(dir)
	err := fs.WalkDir(fsys, ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		files[name], err = fs.ReadFile(fsys, name)
		return err
	})
	return files, err
}

// flipBit changes one bit in the middle of the largest blob of a folder, and gives the blob's digest.
func flipBit(blobs string) (digest string, err error) {
	entries, err := os.ReadDir(blobs)
	if err != nil {
		return "", err
	}
	var largest fs.FileInfo
	for _, entry := range entries {
		info, err := entry.Info()
		if err != nil {
			return "", err
		}
		if largest == nil || info.Size() > largest.Size() {
			largest = info
		}
	}
	if largest == nil {
		return "", fmt.Errorf("%s holds no blob", blobs)
	}
	path := filepath.Join(blobs, largest.Name())
	if err := os.Chmod(path, 0o600); err != nil {
		return "", err
	}
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		return "", err
	}
	b, middle := make([]byte, 1), largest.Size()/2
	_, err = f.ReadAt(b, middle)
	if err == nil {
		b[0] ^= 1
		_, err = f.WriteAt(b, middle)
	}
	err = errors.Join(err, f.Close(), os.Chmod(path, largest.Mode()))
	return "sha256:" + largest.Name(), err
}
