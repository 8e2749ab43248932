// Package sourcetest says in code what every [source.Source] must satisfy. A source's own tests give it a [World], in
// which they know every byte, and it asks, reads, cancels and breaks what it finds there. It knows no protocol.
package sourcetest

import (
	"cmp"
	"strings"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/mstore/mstore/fetch/source"
	"github.com/mstore/mstore/fetch/transfer"
)

// MinLarge is how many bytes the largest file of a world must have, so that a body can be left in the middle:
// more than the buffers of two sockets.
const MinLarge = 8 << 20

// World is a source and a place that it resolves from. What is nil or empty is left out of the tests; a remote source
// leaves out nothing without a reason.
type World struct {
	Source source.Source
	// Options go with every call: such as PlainHTTP.
	Options source.Options

	// Ref names a model, without its scheme, and Files are all that it is made of: one of at least MinLarge bytes, one of
	// a few.
	Ref   string
	Files map[string][]byte
	// Rest is what is left of a Reference when its scheme is taken off. nil cuts "scheme://", else "scheme:".
	Rest func(reference string) string

	// Missing are well-formed references to nothing, and Malformed are none. They fail with WantMissing and
	// WantMalformed; nil stands for source.ErrNotFound and source.ErrReference.
	Missing, Malformed         []string
	WantMissing, WantMalformed error
	// OnDisk tells that a reference is a path, in which any character is the user's own.
	OnDisk bool

	// Change makes Ref name other files, and returns them. At least one path keeps its name and gets other bytes.
	Change func(t *testing.T) map[string][]byte
	// Faults make the place go wrong, each in a fresh world.
	Faults map[string]Fault
	// Hang makes the place take requests and answer none. It returns what is closed when the first has come.
	Hang func(t *testing.T) (asked <-chan struct{})
	// Blobs counts the requests for blobs so far. A file that is as small as a manifest and is asked for in its place
	// counts too.
	Blobs func() int
	// Secrets are texts that no error may hold.
	Secrets []string
}

// Fault is something that goes wrong.
type Fault struct {
	Make func(t *testing.T)
	// Want is what Resolve fails with then; nil: with anything.
	Want error
}

// Run puts the source of a world to the test. It calls world for a fresh one each time.
func Run(t *testing.T, world func(t *testing.T) World) {
	t.Helper()
	first := world(t).filled(t)
	for _, test := range []struct {
		name    string
		in      bool // this world
		promise func(t *testing.T, w World)
	}{
		{"Resolve", true, testResolve},
		{"Bytes", true, testBytes},
		{"ResolveFetchesNoBlob", first.Blobs != nil, testNoBlob},
		{"Unchanged", true, testUnchanged},
		{"Changed", first.Change != nil, testChanged},
		{"Takes", true, testTakes},
		{"BadReferences", true, testBadReferences},
		{"Cancelled", true, testCancelled},
		{"CancelledMeanwhile", first.Hang != nil, testCancelledMeanwhile},
		{"CancelledBody", true, testCancelledBody},
		{"AtOnce", true, testAtOnce},
	} {
		if test.in {
			t.Run(test.name, func(t *testing.T) { test.promise(t, world(t).filled(t)) })
		}
	}
	for name := range first.Faults {
		t.Run("Fault/"+name, func(t *testing.T) { testFault(t, world(t).filled(t), name) })
	}
}

// filled checks a world and fills in what may be left out.
func (w World) filled(t *testing.T) World {
	t.Helper()
	large := 0
	for _, b := range w.Files {
		large = max(large, len(b))
	}
	if w.Source == nil || w.Ref == "" || large < MinLarge || len(w.Files) == 0 {
		t.Fatalf("a world needs a Source, a Ref and a file of %d bytes", MinLarge)
	}
	if w.Options.Transfer.Jitter == nil {
		w.Options.Transfer = Quick()
	}
	w.WantMissing = cmp.Or(w.WantMissing, source.ErrNotFound)
	w.WantMalformed = cmp.Or(w.WantMalformed, source.ErrReference)
	if w.Rest == nil {
		w.Rest = func(reference string) string {
			if _, rest, ok := strings.Cut(reference, "://"); ok {
				return rest
			}
			_, rest, _ := strings.Cut(reference, ":")
			return rest
		}
	}
	return w
}

// Quick is a patience that retries without waiting.
func Quick() transfer.Options {
	return transfer.Options{Retries: 2, Stall: 10 * time.Second, Jitter: func(time.Duration) time.Duration { return 0 }}
}

// resolve resolves ref, which must succeed.
func (w World) resolve(t *testing.T, ref string, change ...func(*source.Options)) *source.Model {
	t.Helper()
	opts := w.Options
	for _, c := range change {
		c(&opts)
	}
	m, err := w.Source.Resolve(t.Context(), ref, opts)
	if err != nil {
		t.Fatalf("Resolve(%q) = %v", ref, err)
	}
	return m
}

// have tells a source that the store has m already.
func have(m *source.Model) func(*source.Options) {
	return func(o *source.Options) {
		o.Have = cmp.Or(m.Digest, digest.FromString("built from its files"))
		o.HaveRevision, o.HaveValidator = m.Revision, m.Validator
	}
}

// identity is what a model says of itself beside its files.
type identity struct{ Name, Reference, Digest, Revision, Validator string }

func identityOf(m *source.Model) identity {
	return identity{m.Name, m.Reference, m.Digest.String(), m.Revision, m.Validator}
}

func wantSame(t *testing.T, what string, got, want *source.Model) {
	t.Helper()
	if got, want := identityOf(got), identityOf(want); got != want {
		t.Errorf("%s is %+v, want %+v", what, got, want)
	}
}
