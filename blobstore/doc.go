// Package blobstore keeps whole, verified, admitted, immutable blobs in one folder that any number of processes share.
//
// A blob is named by its sha256 digest. It gets in through one door: a [Lease] gives an [Ingest], bytes are written to
// it at any offsets, and [Ingest.Commit] verifies them, asks the keeper of the store ([Options].Admit), makes them
// durable and gives them their name. What has a name is therefore whole, true and admitted; no reader has to ask.
//
//	lease, err := store.Lease()                    // what it holds, no sweep removes
//	in, err := lease.Ingest(ctx, blobstore.Want{Digest: d, Size: n})
//	in.WriteAt(...)                                // from any goroutine, in any order
//	blob, err := in.Commit(ctx)
//	lease.Release()
//
// The package owns blobs/, ingest/, leases/ and trash/ of the store's folder, and the locks of single flight; spec/
// describes them. It knows nothing of manifests, media types, names and URLs, and not what an admission decides: it
// only obeys.
package blobstore
