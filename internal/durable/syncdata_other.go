//go:build !linux

package durable

import "os"

// SyncData makes the bytes of f durable. An error is final for the file.
//
//	fsync(f)
func SyncData(f *os.File) error { return SyncFile(f) }
