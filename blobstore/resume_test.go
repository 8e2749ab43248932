package blobstore_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/mstore/mstore/blobstore"
)

const (
	interval   = 256 << 10 // between two checkpoints, and what is hashed at a time
	resumeSize = 4 << 20
)

// marking leaves a checkpoint every interval, and a watermark every MiB.
func marking(s *blobstore.Store) { blobstore.SetPace(s, interval, 1<<20, time.Hour) }

// top is the offset of the highest mark in a file of a partial; 0 when there is none.
func top(partial, file, key string) int64 {
	raw, _ := os.ReadFile(filepath.Join(partial, file))
	var best int64
	for ; len(raw) > 0; raw = raw[min(4096, len(raw)):] {
		best = max(best, blobstore.MarkOffset(raw, key))
	}
	return best
}

// until waits for something that another goroutine or process does.
func until(tb testing.TB, what string, done func() bool) {
	tb.Helper()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for end := time.After(time.Minute); !done(); {
		select {
		case <-tick.C:
		case <-end:
			tb.Fatalf("%s: not within a minute", what)
		}
	}
}

// markRole writes three quarters of a blob and waits, to be killed, until all but an interval of it has a checkpoint.
func markRole(ctx context.Context, root string) error {
	s, err := blobstore.Open(root, quiet)
	if err != nil {
		return err
	}
	l, err := s.Lease()
	if err != nil {
		return err
	}
	marking(s)
	b := content(resumeSize, 7)
	in, err := l.Ingest(ctx, want(b))
	if err != nil {
		return err
	}
	const n = resumeSize * 3 / 4
	if _, err := in.WriteAt(b[:n], 0); err != nil {
		return err
	}
	partial := filepath.Join(root, "ingest", digest.FromBytes(b).Encoded()+".*")
	for {
		if dirs, _ := filepath.Glob(partial); len(dirs) == 1 && top(dirs[0], "checkpoint", blobstore.Boot()) > n-interval-1 &&
			top(dirs[0], "watermark", "") > 0 {
			return ready("")
		}
	}
}

// booted skips a test where no state of a hash is trusted, since the system does not tell its boots apart.
func booted(t *testing.T) {
	t.Helper()
	if blobstore.Boot() == "" {
		t.Skip("this system does not say when it was started")
	}
}

// killed leaves three quarters of a blob, with marks, as a process that was killed.
func killed(t *testing.T, s *blobstore.Store) (b []byte, partial string) {
	t.Helper()
	booted(t)
	start(t, "mark", s.Root()).ready().kill()
	return content(resumeSize, 7), onePartial(t, s)
}

// finish writes what is missing of b and commits. It gives how many bytes the hash read back.
func finish(t *testing.T, in *blobstore.Ingest, b []byte) (readBack int64) {
	t.Helper()
	off, n := in.Missing()
	write(t, in, b[off:off+n], off)
	readBack = blobstore.ReadBack(in)
	info, err := in.Commit(t.Context())
	if err != nil || info.Digest != digest.FromBytes(b) {
		t.Fatalf("Commit = %v, %v", info, err)
	}
	return readBack
}

// Who resumes after a kill reads back what follows the last checkpoint, and no more.
func TestAnHeirReadsOneInterval(t *testing.T) {
	s := newStore(t)
	b, _ := killed(t, s)
	in := ingest(t, newLease(t, s), want(b))
	if in.Resumed() != resumeSize*3/4 {
		t.Errorf("Resumed = %d", in.Resumed())
	}
	if got := finish(t, in, b); got > resumeSize/4+interval {
		t.Errorf("%d bytes were hashed, want at most the last quarter and %d", got, interval)
	}
	wantBlob(t, s, b)
}

// An ingest that is closed leaves a checkpoint where its hash has come to.
func TestACloseLeavesACheckpoint(t *testing.T) {
	booted(t)
	s := newStore(t)
	b := content(resumeSize, 8)
	in := ingest(t, newLease(t, s), want(b))
	write(t, in, b, 0)
	try(t, errOf(in.Digest(t.Context())), in.Close())
	in = ingest(t, newLease(t, s), want(b))
	if got := finish(t, in, b); got != 0 {
		t.Errorf("%d bytes were hashed a second time", got)
	}
}

// spoilers change what a killed process left. Whatever they do, the blob that comes out is right.
var spoilers = map[string]struct {
	spoil func(t *testing.T, partial string, b []byte)
	again bool // the bytes are wrong, and are written once more
	all   bool // all is hashed at the first try
}{
	"nothing": {spoil: func(*testing.T, string, []byte) {}},
	"a checkpoint that is cut off": {func(t *testing.T, partial string, _ []byte) {
		t.Helper()
		try(t, os.Truncate(filepath.Join(partial, "checkpoint"), 100), os.Truncate(filepath.Join(partial, "watermark"), 100))
	}, false, true},
	"no marks": {func(t *testing.T, partial string, _ []byte) {
		t.Helper()
		try(t, os.Remove(filepath.Join(partial, "checkpoint")), os.Remove(filepath.Join(partial, "watermark")))
	}, false, true},
	"marks of garbage": {func(t *testing.T, partial string, b []byte) {
		t.Helper()
		for _, name := range []string{"checkpoint", "watermark"} {
			try(t, os.WriteFile(filepath.Join(partial, name), b[:8192], 0o644))
		}
	}, false, true},
	"a mark beyond what is there": {func(t *testing.T, partial string, b []byte) {
		t.Helper()
		try(t, os.WriteFile(filepath.Join(partial, "checkpoint"), blobstore.AppendMark(blobstore.Boot(), b), 0o644))
	}, false, false},
	"a checkpoint of other bytes": {func(t *testing.T, partial string, b []byte) {
		t.Helper()
		forged := blobstore.AppendMark(blobstore.Boot(), flipped(b[:resumeSize*3/4]))
		try(t, os.WriteFile(filepath.Join(partial, "checkpoint"), forged, 0o644))
	}, false, false},
	"a watermark of other bytes": {func(t *testing.T, partial string, b []byte) {
		t.Helper()
		forged := blobstore.AppendMark("", flipped(b[:resumeSize/2]))
		try(t, os.Remove(filepath.Join(partial, "checkpoint")), os.WriteFile(filepath.Join(partial, "watermark"), forged, 0o644))
	}, false, false},
	"other data": {func(t *testing.T, partial string, b []byte) {
		t.Helper()
		patch(t, filepath.Join(partial, "data"), 1000, b[1000]^1)
	}, true, true},
	"other data, and the first heir was killed too": {func(t *testing.T, partial string, b []byte) {
		t.Helper()
		patch(t, filepath.Join(partial, "data"), 1000, b[1000]^1)
		root := filepath.Dir(filepath.Dir(partial))
		start(t, "heir", root).ready().kill()
	}, true, true},
	"more data than the blob has": {func(t *testing.T, partial string, _ []byte) {
		t.Helper()
		try(t, os.Truncate(filepath.Join(partial, "data"), resumeSize+1))
	}, false, true},
	"less data than was secured": {func(t *testing.T, partial string, _ []byte) {
		t.Helper()
		try(t, os.Truncate(filepath.Join(partial, "data"), 1000))
	}, false, true},
}

// heirRole resumes what was left, and waits to be killed.
func heirRole(ctx context.Context, root string) error {
	l, err := leaseOf(root)
	if err != nil {
		return err
	}
	if _, err := l.Ingest(ctx, want(content(resumeSize, 7))); err != nil {
		return err
	}
	return ready("")
}

// patch changes one byte of a file.
func patch(t *testing.T, path string, off int64, to byte) {
	t.Helper()
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	try(t, err)
	_, err = f.WriteAt([]byte{to}, off)
	try(t, err, f.Close())
}

func TestWhatAKilledProcessLeftMayBeAnything(t *testing.T) {
	for name, c := range spoilers {
		t.Run(name, func(t *testing.T) {
			s := newStore(t)
			b, partial := killed(t, s)
			c.spoil(t, partial, b)
			in := ingest(t, newLease(t, s), want(b))
			off, n := in.Missing()
			write(t, in, b[off:off+n], off)
			if got := blobstore.ReadBack(in); c.all != (got == resumeSize) {
				t.Errorf("%d of %d bytes were hashed at first", got, resumeSize)
			}
			if c.again {
				_, err := in.Commit(t.Context())
				wantErr(t, "Commit of wrong bytes", err, blobstore.ErrMismatch)
				if off, n := in.Missing(); off != 0 || n != resumeSize {
					t.Errorf("Missing = %d, %d; want everything", off, n)
				}
			}
			finish(t, in, b)
			wantBlob(t, s, b)
			if left := names(t, s, "ingest"); len(left) != 0 {
				t.Errorf("ingest/ holds %q", left)
			}
		})
	}
}

// reboot makes the partial one that was written before this machine was started anew: its owner and its journal are of
// another boot, what was not synced is zeros, and its data is older than this boot.
func reboot(t *testing.T, partial string, secured int64) {
	t.Helper()
	owner := filepath.Join(partial, "owner")
	raw, err := os.ReadFile(owner)
	try(t, err, os.WriteFile(owner, bytes.Replace(raw, []byte(blobstore.Boot()), []byte("/another"), 1), 0o644))
	for file, size := range map[string]int64{"journal": 32, "checkpoint": 128} {
		path := filepath.Join(partial, file)
		if raw, err := os.ReadFile(path); err == nil {
			try(t, os.WriteFile(path, blobstore.Rebooted(raw, size, "/another"), 0o644))
		}
	}
	f, err := os.OpenFile(filepath.Join(partial, "data"), os.O_RDWR, 0)
	try(t, err)
	_, err = f.WriteAt(make([]byte, resumeSize*3/4-secured), secured)
	try(t, err, f.Close(), os.Chtimes(f.Name(), time.Unix(1e9, 0), time.Unix(1e9, 0)))
}

// After a power cut what lies below the watermark is there, the state of its hash with it, and nothing else is.
func TestAWatermarkSurvivesAReboot(t *testing.T) {
	booted(t)
	for name, w := range map[string]blobstore.Want{
		"of known digest":   want(content(resumeSize, 7)),
		"of unknown digest": {Size: resumeSize, Name: "http://example/x etag"},
	} {
		t.Run(name, func(t *testing.T) {
			s := newStore(t)
			marking(s)
			b := content(resumeSize, 7)
			in := ingest(t, newLease(t, s), w)
			write(t, in, b[:resumeSize*3/4], 0)
			partial := onePartial(t, s)
			until(t, "a watermark", func() bool { return top(partial, "watermark", "") > 0 })
			try(t, in.Close(), os.Rename(filepath.Join(partial, "closed"), filepath.Join(partial, "owner")))
			secured := top(partial, "watermark", "")
			reboot(t, partial, secured)

			in = ingest(t, newLease(t, s), w)
			if off, n := in.Missing(); in.Resumed() != secured || off != secured || off+n != resumeSize {
				t.Errorf("Resumed = %d, Missing = %d, %d; want from %d on", in.Resumed(), off, n, secured)
			}
			hashed := finish(t, in, b)
			if w.Digest != "" && hashed != resumeSize-secured {
				t.Errorf("%d bytes were hashed; want those above %d", hashed, secured)
			}
			if w.Digest == "" && hashed != resumeSize {
				t.Errorf("%d bytes were hashed: with no digest to compare, a mark was believed", hashed)
			}
			wantBlob(t, s, b)
		})
	}
}

// Data that was changed after the machine was started anew is hashed whole.
func TestAWatermarkOfOtherData(t *testing.T) {
	s := newStore(t)
	b, partial := killed(t, s)
	secured := top(partial, "watermark", "")
	reboot(t, partial, secured)
	patch(t, filepath.Join(partial, "data"), 1000, b[1000]^1)
	in := ingest(t, newLease(t, s), want(b))
	if in.Resumed() != secured {
		t.Errorf("Resumed = %d, want %d", in.Resumed(), secured)
	}
	off, n := in.Missing()
	write(t, in, b[off:off+n], off)
	_, err := in.Commit(t.Context())
	wantErr(t, "Commit of wrong bytes", err, blobstore.ErrMismatch)
	if got := names(t, s, "blobs/sha256"); len(got) != 0 {
		t.Errorf("published: %q", got)
	}
	finish(t, in, b)
}

// secureRole leaves a watermark and ends.
func secureRole(ctx context.Context, root string) error {
	s, err := blobstore.Open(root, quiet)
	if err != nil {
		return err
	}
	l, err := s.Lease()
	if err != nil {
		return err
	}
	marking(s)
	b := content(resumeSize, 7)
	in, err := l.Ingest(ctx, want(b))
	if err != nil {
		return err
	}
	if _, err := in.WriteAt(b[:resumeSize/2], 0); err != nil {
		return err
	}
	for {
		if dirs, _ := filepath.Glob(filepath.Join(root, "ingest", "*")); top(dirs[0], "watermark", "") > 0 {
			return errors.Join(in.Close(), l.Release()) // which waits for the syncs
		}
	}
}

// A watermark is written after what it tells of was synced, and with all by which an heir finds it, as the kernel sees
// it.
func TestTheOrderOfAWatermark(t *testing.T) {
	strace, err := exec.LookPath("strace")
	if err != nil {
		t.Skip("strace is not installed: the order of system calls is not compared here (CI installs it)")
	}
	s := newStore(t)
	log := filepath.Join(t.TempDir(), "log")
	out, err := start(t, "secure", s.Root(), func(cmd *exec.Cmd) {
		cmd.Path = strace
		cmd.Args = []string{strace, "-f", "-qq", "-y", "-o", log, "-e", "trace=fdatasync,fsync,pwrite64", os.Args[0]}
	}).result()
	raw, readErr := os.ReadFile(log)
	if err != nil || readErr != nil {
		t.Fatal(out, err, readErr)
	}
	call := regexp.MustCompile(`(?m)(fdatasync|fsync|pwrite64)\(\d+<[^>]*/ingest(?:/[^/>]*)?(/[a-z]*)?>`)
	var got []string
	for _, m := range call.FindAllStringSubmatch(string(raw), -1) {
		if m[1] != "pwrite64" || m[2] == "/watermark" {
			got = append(got, m[1]+m[2])
		}
	}
	if want := []string{"fdatasync/data", "pwrite64/watermark", "fdatasync/watermark", "fdatasync/owner", "fsync", "fsync"}; !slices.Equal(got[:min(len(got), len(want))], want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

// What was thrown away must not be said to be durable of the bytes that come in its place.
func TestAMismatchForgetsTheWatermark(t *testing.T) {
	s := newStore(t)
	marking(s)
	b := content(resumeSize, 7)
	in := ingest(t, newLease(t, s), want(b))
	write(t, in, flipped(b)[:resumeSize-1], 0)
	partial := onePartial(t, s)
	until(t, "a watermark", func() bool { return top(partial, "watermark", "") > 0 })
	write(t, in, b[resumeSize-1:], resumeSize-1)
	_, err := in.Commit(t.Context())
	wantErr(t, "Commit of wrong bytes", err, blobstore.ErrMismatch)
	write(t, in, b[:interval/2], 0)
	if again := onePartial(t, s); again == partial || top(again, "watermark", "") != 0 {
		t.Errorf("%s is gone on with, to %s", partial, again)
	}
	finish(t, in, b)
}

// Of two partials the fuller may be of no use.
func TestTheNextPartialIsAdopted(t *testing.T) {
	s := newStore(t)
	b, partial := killed(t, s)
	fuller := partial[:len(partial)-3] + "new"
	try(t, os.CopyFS(fuller, os.DirFS(partial)), os.Truncate(filepath.Join(fuller, "data"), resumeSize+1))
	in := ingest(t, newLease(t, s), want(b))
	if in.Resumed() != resumeSize*3/4 {
		t.Errorf("Resumed = %d", in.Resumed())
	}
	finish(t, in, b)
	if left := names(t, s, "ingest"); len(left) != 0 {
		t.Errorf("ingest/ holds %q", left)
	}
}

// Time makes watermarks too, while bytes come.
func TestAWatermarkAfterATime(t *testing.T) {
	s := newStore(t)
	blobstore.SetPace(s, 1<<40, 1<<40, time.Nanosecond)
	b := content(1000, 1)
	in := ingest(t, newLease(t, s), want(b))
	write(t, in, b[:10], 0)
	partial := onePartial(t, s)
	until(t, "a watermark", func() bool { return top(partial, "watermark", "") == 10 })
	try(t, in.Close())
	for _, file := range []string{"data", "watermark"} {
		info, err := os.Stat(filepath.Join(partial, file))
		if err != nil || info.Size() > 4096+128 {
			t.Errorf("%s: %s, %v", file, fmt.Sprint(info), err)
		}
	}
	try(t, errOf(s.ReapIngests(0)))
}
