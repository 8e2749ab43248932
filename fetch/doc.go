// Package fetch makes one pull, end to end: resolve, transfer, admit, commit, tag.
//
//	1  lease                       what it holds, no sweep removes
//	2  resolve                     the manifest's own bytes, and where each blob can be had
//	3  hold every digest, then look: hold before look, or a sweep wins the race
//	4  each missing blob, several at once: ingest -> transfer -> commit, the one door
//	5  the manifest through the same door, last: children before parents
//	6  tag                         the instant the model exists
//	7  release
//
// A crash anywhere before 6 leaves blobs that nothing names and ingests that resume, and nothing to repair.
//
// The package knows stores and sources, but no source in particular, no flags, no terminal and no environment.
package fetch
