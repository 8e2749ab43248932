package blobstore

import "io/fs"

// isOwn cannot tell here whose a file is; who may not write to it cannot link it.
func isOwn(fs.FileInfo) bool { return true }
