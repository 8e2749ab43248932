//go:build unix

package durable

import "golang.org/x/sys/unix"

// Space is how many bytes the file system of a folder has, and how many of them the user may still write.
//
//	statfs
func Space(dir string) (free, total int64, err error) {
	var s unix.Statfs_t
	if err := unix.Statfs(dir, &s); err != nil {
		return 0, 0, err
	}
	block := int64(s.Bsize)                                      //nolint:unconvert // its type differs from system to system
	return int64(s.Bavail) * block, int64(s.Blocks) * block, nil //nolint:unconvert // likewise
}
