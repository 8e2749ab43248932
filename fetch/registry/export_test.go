package registry

// SetChunk makes the requests of uploads small, so that a test needs no large blobs: n bytes in the first, and sessions
// are kept for blobs of n bytes and more.
func (t *Target) SetChunk(n int64) { t.chunk, t.keep = n, n }
