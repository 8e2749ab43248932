package fetch

import (
	"context"
	"errors"
	"os"

	"github.com/mstore/mstore/blobstore"
	"github.com/mstore/mstore/fetch/transfer"
)

// from is where the bytes of one blob can be had: one of the three.
type from struct {
	memory  []byte
	local   string // a file on this machine
	origins []transfer.Origin
}

// onThisMachine is an origin whose bytes are a file that can be shared or copied.
type onThisMachine interface{ Path() (string, error) }

// path is the file on this machine that has the bytes; empty when there is none, or its origin cannot say where.
func (f from) path() string {
	if f.local != "" || len(f.origins) == 0 {
		return f.local
	}
	if origin, ok := f.origins[0].(onThisMachine); ok {
		if path, err := origin.Path(); err == nil {
			return path
		}
	}
	return ""
}

// alone is each origin by itself, the first one last: of bytes that several brought together, nobody knows whose are
// wrong.
func (f from) alone() (all []from) {
	for i := range f.origins {
		next := (i + 1) % len(f.origins)
		all = append(all, from{origins: f.origins[next : next+1 : next+1]})
	}
	return all
}

// refill fetches what was wrong once more, from one origin after the other until one has it right.
func (j *job) refill(ctx context.Context, in *blobstore.Ingest, file *progress, from from, wrong error) (info blobstore.Info, err error) {
	err = wrong
	for _, origin := range from.alone() {
		j.retries.Add(1)
		j.puller.Log.Warn("wrong bytes: the blob is fetched once more", "digest", file.digest, "path", file.path, "error", err)
		file.retry(1, 0, err)
		file.start(0)
		if info, err = j.fill(ctx, in, file, origin); err == nil || ctx.Err() != nil {
			break
		}
	}
	return info, err
}

// fill moves the bytes into the ingest and commits them.
func (j *job) fill(ctx context.Context, in *blobstore.Ingest, file *progress, from from) (blobstore.Info, error) {
	var err error
	switch {
	case from.memory != nil:
		_, err = counted{in, file}.WriteAt(from.memory, 0)
	case from.path() != "":
		err = j.copyFile(ctx, in, from.path(), file)
	default:
		var stats transfer.Stats
		stats, err = j.puller.Engine.Run(ctx, counted{in, file}, from.origins, j.transferOptions(file))
		j.note(file, stats)
		if err == nil {
			in.SetSize(stats.End) // where it was not known
		}
	}
	if err != nil {
		return blobstore.Info{}, err
	}
	return in.Commit(ctx)
}

// note keeps what a transfer did.
func (j *job) note(file *progress, s transfer.Stats) {
	j.puller.Log.Debug("transfer", "digest", file.digest, "path", file.path, "bytes", s.Bytes, "wasted", s.Wasted,
		"retries", s.Retries, "takeovers", s.Takeovers, "connections", s.Connections, "elapsed", s.Elapsed, "peak", s.Peak)
	j.mu.Lock()
	defer j.mu.Unlock()
	j.moved.Add(s)
}

func (j *job) copyFile(ctx context.Context, in *blobstore.Ingest, path string, file *progress) error {
	src, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(j.opts.Local.take(ctx, in, src, file), src.Close())
}
