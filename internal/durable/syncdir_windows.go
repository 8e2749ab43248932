package durable

import "syscall"

const errNotDir = syscall.ENOTDIR

// syncDir does nothing: Windows has no sync of a folder, and NTFS journals its names.
func syncDir(string) error { return nil }
