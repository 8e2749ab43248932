// Package tags keeps the names of a store: which manifest each means, where it came from, when it was last used,
// and whether a person wishes it to stay. It is the only mutable state of a store.
//
// A tag is one small flat file, tags/<escaped name>, replaced atomically and durably; its modification time is the
// last use. A pin is a file of its own, pins/<escaped name>, so that no rewrite of the tag can lose it. Both stand in
// the store's folder beside index.json, which is derived: the tags as an OCI image index, for other tools.
//
// Any number of processes and goroutines may use one folder. What reads first and then writes (Set, Delete, Drop, Pin,
// Unpin) does so under the lock of its tag, locks/tag-<escaped name>; index.json is rebuilt under locks/index from a
// fresh read of the tags, so that a slow writer cannot publish an old state. Lock files are never deleted. Get and
// List take no lock. With locks that do nothing, every file still is one whole state that somebody wrote.
//
// The package does not know whether a digest is in the store, nor what it is: digests are strings to it, and make no
// paths.
package tags
