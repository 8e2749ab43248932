package mstore

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/mstore/mstore/blobstore"
	"github.com/mstore/mstore/fetch"
	"github.com/mstore/mstore/fetch/registry"
	"github.com/mstore/mstore/fetch/transfer"
	"github.com/mstore/mstore/stats"
)

// PushOptions say how a push goes. The zero value is the default.
type PushOptions struct {
	Jobs      int           // blobs at once, small ones too; 0: fetch.DefaultJobs, and more small ones
	Retries   int           // tries again of one request; 0: transfer.DefaultRetries, negative: none
	Timeout   time.Duration // without progress; 0: transfer.DefaultStall
	PlainHTTP bool          // speak to the registry without TLS; a registry on loopback needs no word
}

// Pushed is what a push did.
type Pushed struct {
	Name         string        // of the model in the store
	Reference    string        // where it is now, with the digest
	Digest       digest.Digest // of the manifest
	Bytes        int64         // of all that the manifest names, each blob once
	BytesSent    int64
	BytesMounted int64 // taken by the registry from another of its repositories
	BytesSkipped int64 // were there, or had come with a push that was killed
	Elapsed      time.Duration
	Retries      int
}

// Push sends a model to an OCI registry. Blobs that are there are not sent again, those of another repository of the
// same registry are mounted, and the manifest comes last: nobody can see the model before it is whole. An upload that
// breaks off goes on where it was, in the next process too, where the registry can do that.
//
// Errors: ErrUsage for a reference that is not a registry's, ErrNotFound, ErrVerification when the store is damaged,
// ErrNetwork, ErrAuthentication, ErrStorage, ErrInterrupted.
func (s *Store) Push(ctx context.Context, name, ref string, o PushOptions) (pushed *Pushed, err error) {
	defer classify(&err)
	start := time.Now()
	defer func() {
		a := stats.Act{Kind: stats.Push, Name: name}
		if pushed != nil {
			a.Fetched, a.Retries = pushed.BytesSent, pushed.Retries
		}
		s.record(a, nil, start, err)
	}()
	if s.opts.Offline {
		return nil, fmt.Errorf("push to %s: %w", ref, errOffline)
	}
	to, err := parseReference(ref)
	if err == nil && to.world != inRegistry {
		err = usagef("%q is no reference to a registry: want host/repository[:tag]", ref)
	}
	if err != nil {
		return nil, err
	}
	use, err := s.hold(name)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, use.Release()) }()
	notes := openUploads(s.blobs.Dir(uploadsName), s.log)
	defer func() { err = errors.Join(err, notes.close()) }()
	p := &push{
		store: s, use: use, pushed: Pushed{Name: use.Name, Digest: use.Digest}, done: make(map[digest.Digest]tally),
	}
	if p.target, err = s.sources.registry.Target(ctx, to.rest, registry.TargetOptions{
		PlainHTTP: o.PlainHTTP,
		MountFrom: strings.TrimPrefix(use.Source.Reference, "oci://"),
		Transfer:  transfer.Options{Retries: o.Retries, Stall: o.Timeout, Retry: p.retry},
		Throttle:  s.engine.Throttle,
		Sessions:  notes,
	}); err != nil {
		return nil, err
	}
	if err := p.all(ctx, o.Jobs); err != nil {
		return nil, err
	}
	at := p.target.Reference()
	at.Digest = use.Digest
	p.pushed.Reference, p.pushed.Elapsed = at.String(), time.Since(start)
	return p.sum(), nil
}

// push is one Push under way.
type push struct {
	store  *Store
	use    *Use
	target *registry.Target

	mu     sync.Mutex
	pushed Pushed
	done   map[digest.Digest]tally
}

// all sends the blobs, then the manifest. A registry that misses a blob then, whatever it said before, gets it again.
func (p *push) all(ctx context.Context, jobs int) error {
	m := p.use.manifest
	if err := p.target.CheckDigest(m.Descriptor.Digest); err != nil {
		return err
	}
	for again := false; ; again = true {
		if err := p.blobs(ctx, jobs); err != nil {
			return err
		}
		_, err := p.target.PushManifest(ctx, m.Descriptor.MediaType, m.Raw)
		if again || !errors.Is(err, registry.ErrBlobUnknown) {
			return err
		}
		p.retry(1, 0, err)
	}
}

// blobs sends what the manifest names, several at once. What could be sent is sent, so that the next try has less.
func (p *push) blobs(ctx context.Context, jobs int) error {
	paths := make(map[digest.Digest]string)
	for _, f := range p.use.manifest.Files {
		paths[f.Descriptor.Digest] = f.Path
	}
	p.emit(Event{Kind: fetch.Resolved, Digest: p.use.Digest, Size: p.use.Size, Files: len(p.use.Files)})
	crew, ctx := fetch.NewCrew(ctx, jobs)
	for _, desc := range p.use.manifest.Blobs() {
		crew.Move(ctx, desc.Size, func() error {
			path := paths[desc.Digest]
			err := p.blob(ctx, desc, path)
			if err != nil && path != "" {
				err = fmt.Errorf("%s: %w", path, err)
			}
			return err
		})
	}
	return crew.Wait()
}

func (p *push) blob(ctx context.Context, desc ocispec.Descriptor, path string) (err error) {
	blob, err := p.store.blobs.Open(desc.Digest)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, blob.Close()) }()
	var there int64
	e := Event{Kind: fetch.Start, Path: path, Digest: desc.Digest, Size: desc.Size}
	p.emit(e)
	outcome, err := p.target.PushBlob(ctx, desc, blob, func(at registry.Progress) {
		there = at.Reused
		p.emit(Event{Kind: fetch.Progress, Path: path, Digest: desc.Digest, Size: desc.Size, Done: at.Done, Reused: at.Reused})
	})
	if err != nil {
		return p.blame(ctx, desc.Digest, err)
	}
	e.Kind, e.Done, e.Reused = fetch.Done, desc.Size, there
	if outcome != registry.Sent {
		e.Reused = desc.Size
	}
	p.emit(e)
	p.note(desc.Digest, tally{outcome, desc.Size, there})
	return nil
}

// blame finds out who is right when a registry will not have a blob: what was sent is not read for its digest before.
func (p *push) blame(ctx context.Context, d digest.Digest, err error) error {
	status, ok := errors.AsType[*transfer.StatusError](err)
	if !ok || status.Status != http.StatusBadRequest {
		return err
	}
	if bad := p.store.blobs.Check(ctx, d, nil); errors.Is(bad, blobstore.ErrMismatch) {
		return bad
	}
	return err
}

// tally is what became of a blob.
type tally struct {
	outcome     registry.Outcome
	size, there int64
}

// note remembers what became of a blob. That it is there the second time is no news.
func (p *push) note(d digest.Digest, t tally) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if _, again := p.done[d]; !again || t.outcome != registry.Present {
		p.done[d] = t
	}
}

// sum adds up what became of the blobs.
func (p *push) sum() *Pushed {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, t := range p.done {
		p.pushed.Bytes += t.size
		switch t.outcome {
		case registry.Present:
			p.pushed.BytesSkipped += t.size
		case registry.Mounted:
			p.pushed.BytesMounted += t.size
		case registry.Sent:
			p.pushed.BytesSkipped += t.there
			p.pushed.BytesSent += t.size - t.there
		}
	}
	return &p.pushed
}

func (p *push) retry(attempt int, wait time.Duration, err error) {
	p.mu.Lock()
	p.pushed.Retries++
	p.mu.Unlock()
	p.store.log.Debug("a request of a push is tried again", "attempt", attempt, "wait", wait, "error", err)
	p.emit(Event{Kind: fetch.Retry, Attempt: attempt, Wait: wait, Err: err})
}

func (p *push) emit(e Event) {
	e.Model = p.use.Name
	p.store.emit(e)
}
