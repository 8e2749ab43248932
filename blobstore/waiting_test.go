package blobstore_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/opencontainers/go-digest"

	"github.com/mstore/mstore/blobstore"
)

const feedPiece = 64 << 10

// feedWant is the shared blob, or one of unknown digest.
func feedWant(known bool) blobstore.Want {
	if known {
		return want(shared())
	}
	return blobstore.Want{Size: int64(len(shared())), Name: "http://example/fed"}
}

func feedRole(ctx context.Context, root string) error { return feed(ctx, root, feedWant(true)) }

func feedNamedRole(ctx context.Context, root string) error { return feed(ctx, root, feedWant(false)) }

// feed writes a piece of the shared blob whenever it is told to.
func feed(ctx context.Context, root string, w blobstore.Want) error {
	l, err := leaseOf(root)
	if err != nil {
		return err
	}
	in, err := l.Ingest(ctx, w)
	if err != nil {
		return err
	}
	fmt.Println("ready")
	b := shared()
	for lines := bufio.NewScanner(os.Stdin); lines.Scan(); {
		off, _ := in.Missing()
		if _, err := in.WriteAt(b[off:off+feedPiece], off); err != nil {
			return err
		}
	}
	return errors.New("the child was not killed")
}

// Who waits is told what the other process has, as it grows, and has just that when the other is killed.
func TestWaitingTellsWhatTheWriterHas(t *testing.T) {
	for role, known := range map[string]bool{"feed": true, "feed-named": false} {
		t.Run(role, func(t *testing.T) {
			s := newStore(t)
			c := start(t, role, s.Root()).ready()
			var told []int64
			w := feedWant(known)
			w.Waiting = func(have int64) {
				told = append(told, have)
				if len(told) == 5 {
					c.kill()
				} else if _, err := fmt.Fprintln(c.in); err != nil {
					t.Error(err)
				}
			}
			in := ingest(t, newLease(t, s), w)
			if want := []int64{0, feedPiece, 2 * feedPiece, 3 * feedPiece, 4 * feedPiece}; !slices.Equal(told, want) {
				t.Errorf("told %v, want %v", told, want)
			}
			if in.Resumed() != 4*feedPiece {
				t.Errorf("Resumed = %d", in.Resumed())
			}
			try(t, in.Discard())
		})
	}
}

// A writer whose journal changes all the time, and is written anew, is watched by many: none is told what is not so,
// and none less than before.
func TestWaitingWhileTheJournalIsRewritten(t *testing.T) {
	s := newStore(t)
	b := content(1<<20, 1)
	in := ingest(t, newLease(t, s), want(b))
	stop := make(chan struct{})
	var all sync.WaitGroup
	for range 4 {
		all.Go(func() {
			var last int64
			for {
				select {
				case <-stop:
					if last == 0 {
						t.Error("nothing was seen of the writer")
					}
					return
				default:
				}
				have := blobstore.WriterHas(s, digest.FromBytes(b))
				if have < last || have > int64(len(b)) {
					t.Errorf("%d bytes after %d", have, last)
				}
				last = max(last, have)
			}
		})
	}
	const piece = 16
	for off := 0; off+2*piece <= len(b); off += 2 * piece {
		write(t, in, b[off+piece:off+2*piece], int64(off+piece))
		write(t, in, b[off:off+piece], int64(off))
	}
	close(stop)
	all.Wait()
	if have := blobstore.WriterHas(s, digest.FromBytes(b)); have != int64(len(b)) {
		t.Errorf("the writer has %d", have)
	}
	try(t, errOf(in.Commit(t.Context())))
}

// relayRole brings the shared blob in. The one that begins it stops halfway, to be killed.
func relayRole(ctx context.Context, root string) error {
	l, err := leaseOf(root)
	if err != nil {
		return err
	}
	b := shared()
	in, err := l.Ingest(ctx, want(b))
	if errors.Is(err, blobstore.ErrExists) {
		fmt.Println("exists")
		return l.Release()
	}
	if err != nil {
		return err
	}
	if in.Resumed() == 0 {
		if _, err := in.WriteAt(b[:len(b)/2], 0); err != nil {
			return err
		}
		return ready("")
	}
	off, n := in.Missing()
	fmt.Println("wrote", n)
	_, err = in.WriteAt(b[off:off+n], off)
	if err == nil {
		_, err = in.Commit(ctx)
	}
	return errors.Join(err, in.Close(), l.Release())
}

// When the writer of four is killed, one of the others goes on where it stopped, and the rest find the blob.
func TestAKilledWriterIsRelieved(t *testing.T) {
	s := newStore(t)
	said := make(chan string)
	for range 4 {
		c := start(t, "relay", s.Root())
		go func() {
			line, _ := c.out.ReadString('\n')
			if strings.HasPrefix(line, "ready") {
				c.kill()
				said <- "killed"
				return
			}
			rest, err := c.result()
			said <- strings.TrimSpace(line + rest + fmt.Sprint(c.err, errText(err)))
		}()
	}
	var got []string
	for range 4 {
		got = append(got, <-said)
	}
	slices.Sort(got)
	if want := []string{"exists", "exists", "killed", fmt.Sprint("wrote ", len(shared())/2)}; !slices.Equal(got, want) {
		t.Errorf("the children said %q, want %q", got, want)
	}
	wantBlob(t, s, shared())
}

func errText(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}
