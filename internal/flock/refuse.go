//go:build !failpoints

package flock

// refusal says that a lock is not to be taken: err is why, and nil that it only seems to be. In a build with the tag
// failpoints the environment may say so.
func refusal() (refused bool, err error) { return false, nil }
