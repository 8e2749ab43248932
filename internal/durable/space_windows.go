package durable

import "golang.org/x/sys/windows"

// Space is how many bytes the file system of a folder has, and how many of them the user may still write.
func Space(dir string) (free, total int64, err error) {
	path, err := windows.UTF16PtrFromString(dir)
	if err != nil {
		return 0, 0, err
	}
	var available, all uint64
	if err := windows.GetDiskFreeSpaceEx(path, &available, &all, nil); err != nil {
		return 0, 0, err
	}
	return int64(available), int64(all), nil //nolint:gosec // no disk is that large
}
