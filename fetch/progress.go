package fetch

import (
	"sync/atomic"
	"time"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/mstore/mstore/blobstore"
)

// progress counts the bytes of one file and tells of them.
type progress struct {
	job    *job
	path   string
	digest digest.Digest
	size   int64
	bytes  atomic.Int64 // here so far
	reused atomic.Int64
	waits  int // events of kind Wait
}

func (j *job) track(path string, desc ocispec.Descriptor) *progress {
	return &progress{job: j, path: path, digest: desc.Digest, size: desc.Size}
}

func (f *progress) emit(e Event) {
	e.Path, e.Digest, e.Size = f.path, f.digest, f.size
	e.Done, e.Reused = f.bytes.Load(), f.reused.Load()
	f.job.emit(e)
}

// start begins to count, at what a partial blob has.
func (f *progress) start(resumed int64) {
	f.bytes.Store(resumed)
	f.reused.Store(resumed)
	f.emit(Event{Kind: Start})
}

func (f *progress) moved(n int64) {
	f.bytes.Add(n)
	f.job.fetched.Add(n)
	f.emit(Event{Kind: Progress})
}

// waiting tells of what another process has of the file. What it had when this one began to look was here before.
func (f *progress) waiting(have int64) {
	if f.waits == 0 {
		f.reused.Store(have)
	}
	f.waits++
	f.bytes.Store(max(have, f.bytes.Load()))
	f.emit(Event{Kind: Wait})
}

func (f *progress) retry(attempt int, wait time.Duration, err error) {
	f.emit(Event{Kind: Retry, Attempt: attempt, Wait: wait, Err: err})
}

// reusedWhole ends the file: its blob was in the store.
func (f *progress) reusedWhole(size int64) {
	f.size = size
	f.bytes.Store(size)
	f.reused.Store(size)
	f.job.reused.Add(size)
	f.emit(Event{Kind: Done})
}

func (f *progress) done(info blobstore.Info) {
	f.size, f.digest = info.Size, info.Digest
	f.job.reused.Add(f.reused.Load())
	f.emit(Event{Kind: Done})
}

// counted is an ingest whose writes are counted.
type counted struct {
	*blobstore.Ingest
	file *progress
}

func (c counted) WriteAt(p []byte, off int64) (int, error) {
	n, err := c.Ingest.WriteAt(p, off)
	c.file.moved(int64(n))
	return n, err
}
