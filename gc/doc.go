// Package gc removes the blobs that nothing needs, beside processes that pull, read and collect in the same store.
//
// A tag and a lease are what keeps blobs: the roots. [Collector.Plan] marks what they reach and says what would go;
// [Collector.Run] executes that plan; [Collector.Choose] says which tags limits ask to drop first. There is no lock and
// no daemon, nobody waits for a collector and a collector waits for nobody. What makes that safe is an order, which Run
// and the pullers keep between them:
//
//	puller     hold the digests -> look for the blobs -> fetch what is missing -> write the tag -> release
//	collector  1 list what lies in trash/, left by collectors that were killed
//	           2 read the leases, then the tags
//	           3 move blobs that they do not reach to trash/
//	           4 read the leases, then the tags, again
//	           5 put back what is live by now, delete the rest, that of step 1 among it
//	reader     look in blobs/, in trash/ (and put it back), in blobs/ again; and once more for each further collector
//
// Why this one:
//
//   - Hold before look. A puller that looked first may see a blob whose sweep is already decided.
//
//   - Leases before tags. A puller goes from a lease to a tag; who reads in its direction meets it at one of the two.
//
//   - Move before the second read. After the move nobody can come to rely on the blob without putting it back, so what
//     the second read does not find is needed by nobody, then and later. Without the second read, a puller that held
//     and looked between steps 2 and 3 loses its blob.
//
//   - Trash is adopted before the reads, for the same reason: its blobs were moved before the second read.
//
//   - More looks than one. What one collector puts back while a reader is between its looks, another one may move. A
//     collector reads manifests as such a reader: were it to miss one that a lease holds, it would take its files.
//
// A collector may be killed at any step: what it leaves is in trash/, where readers and the next collector find it.
// model_test.go explores every interleaving of small casts of these processes, and shows that other orders lose blobs.
//
// Unreadable means stop: when a lease, a tag or a manifest cannot be read, nobody knows what is needed, and nothing is
// removed ([ErrUnreadable]). A tag is dropped only while it means what the plan says, and never while it is pinned or in
// use. What a lease holds is live, and when it is a manifest so is all that it refers to: who runs a model relies on
// its files. The subject of a manifest is no part of it and is not marked.
//
// The package knows nothing of networks and of how models are pulled; what the limits are, its callers say.
package gc
