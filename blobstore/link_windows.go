package blobstore

import "io/fs"

// isOwn cannot tell here whose a file is; who may not write to it cannot link it.
func isOwn(fs.FileInfo) bool { return true }

// links is how many names a file has, as far as this system tells.
func links(fs.FileInfo) int { return 1 }

// allocated is how many bytes of the disk a file takes: no more than its size, as far as this system tells.
func allocated(info fs.FileInfo) int64 { return info.Size() }
