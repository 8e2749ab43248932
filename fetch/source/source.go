// Package source is the vocabulary between a pull and the worlds that models come from.
//
// A [Source] turns a reference into a [Model]: what it is made of, and where each of its bytes can be had. It moves no
// blobs itself and does not know that a store exists.
package source

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/mstore/mstore/fetch/transfer"
	"github.com/mstore/mstore/manifest"
)

var (
	// ErrReference reports a text that is no reference in the world of a source.
	ErrReference = errors.New("not a reference")
	// ErrNotFound reports that a source has no such model, revision, tag or file, or does not show it.
	ErrNotFound = errors.New("not found")
	// ErrNoneTaken is the ErrNotFound of a model that has files, of which Include and Exclude leave none.
	ErrNoneTaken = fmt.Errorf("%w: the patterns take none of its files", ErrNotFound)
	// ErrPattern reports a text that is no pattern for file names.
	ErrPattern = errors.New("no pattern for file names")
	// ErrAuth reports that a source refuses who is asking. Its text says whether credentials were sent.
	ErrAuth = errors.New("access refused")
	// ErrProtocol reports a server that answers, but not as one of its world does: a web page, another service.
	ErrProtocol = errors.New("it speaks another protocol")
	// ErrDigest reports content that is not what its digest says.
	ErrDigest = errors.New("content does not match its digest")
)

// Source resolves the references of one world: registries, a hub, a folder. It may be used by several goroutines.
type Source interface {
	// Resolve says what ref (without its scheme) names now. It is quick: it fetches manifests and lists, never blobs.
	Resolve(ctx context.Context, ref string, opts Options) (*Model, error)
}

// Options narrow what is resolved. The zero value is the default.
type Options struct {
	// Platform chooses from an index; nil is this machine's.
	Platform *ocispec.Platform
	// Have is what the store has of this reference. A source that finds the same there says Unchanged and no more.
	Have digest.Digest
	// HaveRevision and HaveValidator are what Have's model had as Revision and Validator, for the sources that have no
	// digest of a whole model. A source that finds the same there says Unchanged too.
	HaveRevision, HaveValidator string
	// Digest is what the caller says the file (or manifest) is; empty: nothing. Sources that know digests need not look at
	// it: the pull holds it against what they say.
	Digest digest.Digest
	// Include and Exclude are what the caller takes of a model's files: see [Options.Takes]. A source that knows
	// nothing of them may list all files; the pull leaves out what is not taken.
	Include, Exclude []string
	// PlainHTTP lets a registry be spoken to without TLS.
	PlainHTTP bool
	// Transfer is the patience with requests that fail; the zero value is the default.
	Transfer transfer.Options
}

// Model is what a reference named when it was resolved.
type Model struct {
	// Name is the store's name for it.
	Name string
	// Reference is the reference with its scheme, as it can be asked for again.
	Reference string
	// Digest is what the reference named: a manifest, or the index that led to Manifest. It is empty where the source
	// has no manifests.
	Digest digest.Digest
	// Revision is what exactly the reference named where that has no digest: the commit of a repository.
	Revision string
	// Validator is what the source gives to ask later whether anything changed: an entity tag or a date.
	Validator string
	// Unchanged tells that the reference names what the store has still. Manifest, Origins and Files are empty then.
	Unchanged bool
	// Manifest is the model's manifest. nil means that it is to be built from Files, once their digests are known.
	Manifest *manifest.Manifest
	// Origins are the places that have a blob of Manifest, in the order in which they should be asked.
	Origins func(desc ocispec.Descriptor) []transfer.Origin
	// Files are the files of a model that has no Manifest, and Facts is what is known of it beside them.
	Files []File
	Facts manifest.Facts
	// PlainHTTP tells that the source was spoken to without TLS, so that it can be asked so again.
	PlainHTTP bool
}

// File is one file of a model without a manifest.
type File struct {
	// Path is where the file belongs in the model: safe, relative, slash-separated.
	Path string
	// Local is the file's path on this machine; empty when it has to be fetched from Origins.
	Local string
	// Descriptor is what is known beforehand: Digest is empty and Size -1 when they are not.
	Descriptor ocispec.Descriptor
	// Origins are the places that have the file.
	Origins []transfer.Origin
	// Name identifies the bytes of a file of unknown digest (its URL and validator, or its repository, commit and
	// path), so that a partial one can be resumed. Empty: it starts at zero.
	Name string
	// Verify, when not nil, is another word on what the bytes are than the Descriptor's digest, such as the object id
	// that git gives them. It is asked before the file is let into the store; its error is ErrDigest.
	Verify func(size int64, content io.Reader) error
}
