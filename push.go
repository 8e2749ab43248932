package mstore

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"golang.org/x/sync/errgroup"

	"github.com/mstore/mstore/blobstore"
	"github.com/mstore/mstore/fetch"
	"github.com/mstore/mstore/fetch/registry"
	"github.com/mstore/mstore/fetch/transfer"
)

// PushOptions say how a push goes. The zero value is the default.
type PushOptions struct {
	Jobs      int           // blobs at once; 0: fetch.DefaultJobs
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
	BytesSkipped int64 // were there
	Elapsed      time.Duration
	Retries      int
}

// Push sends a model to an OCI registry. Blobs that are there are not sent again, those of another repository of the
// same registry are mounted, and the manifest comes last: nobody can see the model before it is whole.
//
// Errors: ErrUsage for a reference that is not a registry's, ErrNotFound, ErrVerification when the store is damaged,
// ErrNetwork, ErrAuthentication, ErrStorage, ErrInterrupted.
func (s *Store) Push(ctx context.Context, name, ref string, o PushOptions) (_ *Pushed, err error) {
	defer classify(&err)
	start := time.Now()
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
	p := &push{store: s, use: use, pushed: Pushed{Name: use.Name, Digest: use.Digest}}
	opts := registry.TargetOptions{
		PlainHTTP: o.PlainHTTP,
		MountFrom: strings.TrimPrefix(use.Source.Reference, "oci://"),
		Transfer:  transfer.Options{Retries: o.Retries, Stall: o.Timeout, Retry: p.retry},
	}
	if p.target, err = s.registry.Target(ctx, to.rest, opts); err != nil {
		return nil, err
	}
	if err := p.blobs(ctx, cmp.Or(max(o.Jobs, 0), fetch.DefaultJobs)); err != nil {
		return nil, err
	}
	m := use.manifest
	if _, err := p.target.PushManifest(ctx, m.Descriptor.MediaType, m.Raw); err != nil {
		return nil, err
	}
	at := p.target.Reference()
	at.Digest = m.Descriptor.Digest
	p.pushed.Reference, p.pushed.Elapsed = at.String(), time.Since(start)
	return &p.pushed, nil
}

// push is one Push under way.
type push struct {
	store  *Store
	use    *Use
	target *registry.Target

	mu     sync.Mutex
	pushed Pushed
}

// blobs sends what the manifest names, several at once. What could be sent is sent, so that the next try has less.
func (p *push) blobs(ctx context.Context, jobs int) error {
	paths := make(map[digest.Digest]string)
	for _, f := range p.use.manifest.Files {
		paths[f.Descriptor.Digest] = f.Path
	}
	p.emit(Event{Kind: fetch.Resolved, Digest: p.use.Digest, Size: p.use.Size, Files: len(p.use.Files)})
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(jobs)
	for _, desc := range p.use.manifest.Blobs() {
		group.Go(func() error {
			path := paths[desc.Digest]
			err := p.blob(ctx, desc, path)
			if err != nil && path != "" {
				err = fmt.Errorf("%s: %w", path, err)
			}
			return err
		})
	}
	return group.Wait()
}

func (p *push) blob(ctx context.Context, desc ocispec.Descriptor, path string) (err error) {
	blob, err := p.store.blobs.Open(desc.Digest)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, blob.Close()) }()
	e := Event{Kind: fetch.Start, Path: path, Digest: desc.Digest, Size: desc.Size}
	p.emit(e)
	outcome, err := p.target.PushBlob(ctx, desc, blob, func(sent int64) {
		p.emit(Event{Kind: fetch.Progress, Path: path, Digest: desc.Digest, Size: desc.Size, Done: sent})
	})
	if err != nil {
		return p.blame(ctx, desc.Digest, err)
	}
	e.Kind, e.Done = fetch.Done, desc.Size
	if outcome != registry.Sent {
		e.Reused = desc.Size
	}
	p.emit(e)
	p.count(outcome, desc.Size)
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

func (p *push) count(outcome registry.Outcome, n int64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.pushed.Bytes += n
	switch outcome {
	case registry.Present:
		p.pushed.BytesSkipped += n
	case registry.Mounted:
		p.pushed.BytesMounted += n
	case registry.Sent:
		p.pushed.BytesSent += n
	}
}

func (p *push) retry(attempt int, wait time.Duration, err error) {
	p.mu.Lock()
	p.pushed.Retries++
	p.mu.Unlock()
	p.store.log.Debug("a request of a push is tried again", "attempt", attempt, "wait", wait, "error", err)
	p.emit(Event{Kind: fetch.Retry, Wait: wait, Err: err})
}

func (p *push) emit(e Event) {
	e.Model = p.use.Name
	p.store.emit(e)
}
