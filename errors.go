package mstore

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/http"
	"net/url"
	"slices"
	"syscall"

	"github.com/mstore/mstore/blobstore"
	"github.com/mstore/mstore/export"
	"github.com/mstore/mstore/fetch"
	"github.com/mstore/mstore/fetch/guard"
	"github.com/mstore/mstore/fetch/local"
	"github.com/mstore/mstore/fetch/source"
	"github.com/mstore/mstore/fetch/transfer"
	"github.com/mstore/mstore/gc"
	"github.com/mstore/mstore/internal/key"
	"github.com/mstore/mstore/manifest"
	"github.com/mstore/mstore/manifest/tags"
)

// Class is the kind of failure that an error is, for whoever decides what to do next. A Class is an error itself, so
// that errors.Is(err, mstore.ErrNetwork) asks for it.
type Class string

// The classes. What has none of them is a fault of mstore.
const (
	ErrUsage          Class = "usage"          // a reference, name or option that cannot be
	ErrNotFound       Class = "not found"      // no such model, tag, file or repository
	ErrVerification   Class = "verification"   // bytes are not what their digest says, or a manifest is malformed
	ErrQuarantined    Class = "quarantined"    // refused by inspection
	ErrNetwork        Class = "network"        // unreachable, timed out, retries used up, offline
	ErrAuthentication Class = "authentication" // credentials are missing, refused or expired
	ErrStorage        Class = "storage"        // the disk is full or read-only, permissions, I/O errors, no store
	ErrBusy           Class = "busy"           // a lock was not had in time
	ErrInterrupted    Class = "interrupted"    // the caller's context ended
	ErrInternal       Class = "internal"       // a fault of mstore
)

func (c Class) Error() string { return string(c) }

// NotFoundError reports a name that no model in the store has.
type NotFoundError struct{ Name string }

func (e *NotFoundError) Error() string { return fmt.Sprintf("no model named %q in the store", e.Name) }

// Is makes it an fs.ErrNotExist.
func (e *NotFoundError) Is(target error) bool { return target == fs.ErrNotExist }

// errOffline is what needs the network when Options.Offline forbids it, errHubOffline what needs the hub when
// HubOptions.Offline does.
var (
	errOffline    = errors.New("offline")
	errHubOffline = fmt.Errorf("the hub is not to be asked: %w", errOffline)
)

// elsewhere is an error of a pull from another world than the store's own.
type elsewhere struct {
	world world
	error
}

func (e *elsewhere) Unwrap() error { return e.error }

// classified is an error with its class.
type classified struct {
	class Class
	error
}

func (e *classified) Unwrap() error        { return e.error }
func (e *classified) Is(target error) bool { return target == e.class }

// classify gives the error of a verb its class, on its way out.
func classify(err *error) {
	if *err == nil {
		return
	}
	if _, already := errors.AsType[*classified](*err); !already {
		*err = &classified{classOf(*err), *err}
	}
}

func usagef(format string, args ...any) error {
	return &classified{ErrUsage, fmt.Errorf(format, args...)}
}

// ClassOf is the class of an error that this package returned, or that wraps one of the classes; empty for nil.
func ClassOf(err error) Class {
	if err == nil {
		return ""
	}
	if c, ok := errors.AsType[*classified](err); ok {
		return c.class
	}
	if class, ok := errors.AsType[Class](err); ok {
		return class
	}
	return classOf(err)
}

// classOf asks in the order in which causes hide each other: a full disk ends a transfer, which looks like the network.
func classOf(err error) Class {
	for _, rule := range rules {
		if rule.match(err) {
			return rule.class
		}
	}
	return ErrInternal
}

type rule struct {
	class Class
	match func(error) bool
}

var rules = []rule{
	{ErrInterrupted, isAny(context.Canceled)},
	{ErrQuarantined, isAny(blobstore.ErrRefused, blobstore.ErrWithheld)},
	{ErrUsage, isAny(local.ErrPath)}, // also where a manifest of such files would be malformed
	{ErrVerification, isAny(blobstore.ErrMismatch, blobstore.ErrCorrupt, blobstore.ErrNotFound, manifest.ErrMalformed, fetch.ErrPinned, export.ErrUnsafe, source.ErrDigest)},
	{ErrStorage, isStorage},
	{ErrAuthentication, isAny(source.ErrAuth, guard.ErrUntrusted)},
	{ErrNotFound, isAny(source.ErrNotFound)},
	{ErrUsage, isAny(source.ErrReference, source.ErrPattern)},
	{ErrVerification, at(manifest.ErrUnsafePath, inHub)}, // which nobody has typed
	{ErrUsage, isAny(key.ErrInvalid, tags.ErrName, manifest.ErrPlatform, manifest.ErrUnsafePath,
		export.ErrExists, export.ErrMode, export.ErrLayout, fetch.ErrLocalMode)},
	{ErrNotFound, isAny(manifest.ErrNoPlatform, fs.ErrNotExist)},
	{ErrBusy, isAny(tags.ErrMoved, syscall.ETXTBSY, syscall.EBUSY)},
	{ErrNetwork, isNetwork},
	{ErrStorage, isPath},
}

func isAny(targets ...error) func(error) bool {
	return func(err error) bool {
		for _, target := range targets {
			if errors.Is(err, target) {
				return true
			}
		}
		return false
	}
}

// at matches an error of one of some worlds.
func at(target error, worlds ...world) func(error) bool {
	return func(err error) bool { return errors.Is(err, target) && isFrom(err, worlds...) }
}

// isFrom tells whether an error came from one of some worlds.
func isFrom(err error, worlds ...world) bool {
	e, ok := errors.AsType[*elsewhere](err)
	return ok && slices.Contains(worlds, e.world)
}

func isStorage(err error) bool {
	return isAny(blobstore.ErrNotStore, blobstore.ErrNewer, blobstore.ErrInsecure, tags.ErrUnreadable,
		syscall.ENOSPC, syscall.EDQUOT, syscall.EROFS, syscall.EIO, syscall.EMFILE, syscall.ENFILE,
		syscall.ENOTDIR, syscall.ENAMETOOLONG, fs.ErrPermission)(err)
}

func isNetwork(err error) bool {
	return isAny(errOffline, transfer.ErrInterrupted, transfer.ErrRange, transfer.ErrChanged, source.ErrProtocol, guard.ErrRedirect,
		context.DeadlineExceeded)(err) ||
		isA[*net.OpError](err) || isA[*net.DNSError](err) || isA[*url.Error](err) ||
		isA[*transfer.StatusError](err) || isA[*transfer.StallError](err) || isTLS(err)
}

func isTLS(err error) bool {
	return isA[*tls.CertificateVerificationError](err) || isA[x509.UnknownAuthorityError](err) ||
		isA[tls.RecordHeaderError](err) || errors.Is(err, http.ErrSchemeMismatch)
}

// isA tells whether an error of the type is in the chain.
func isA[E error](err error) bool {
	_, ok := errors.AsType[E](err)
	return ok
}

// isPath tells a failure of the file system that has no better name.
func isPath(err error) bool { return isA[*fs.PathError](err) || isA[syscall.Errno](err) }

// Retryable tells whether doing the same again can help, without anything else being changed.
func Retryable(err error) bool {
	return ClassOf(err) == ErrBusy || transfer.Retryable(err)
}

// Hint is a sentence on what to do about an error; empty when there is nothing to say that the error does not.
func Hint(err error) string {
	for _, h := range hints {
		if h.match(err) {
			return h.text
		}
	}
	return ""
}

type hint struct {
	match func(error) bool
	text  string
}

var hints = []hint{
	{isAny(blobstore.ErrNewer), "update mstore, or name another store with --store"},
	{isAny(blobstore.ErrInsecure), "name a folder that only you may write to with --store, or make the store with --shared"},
	{isAny(blobstore.ErrNotStore, syscall.ENOTDIR), "name an empty or new folder with --store"},
	{isAny(blobstore.ErrDamaged), "put the folder back from where it went; an empty one in its place would say that nothing in it is needed"},
	{isAny(tags.ErrUnreadable), "look at that file; remove it if it is no tag, or run `mstore rm` with the tag's name"},
	{isAny(gc.ErrUnreadable, blobstore.ErrNotFound, blobstore.ErrCorrupt), "`mstore verify --repair` mends what the store has lost"},
	{isAny(blobstore.ErrWithheld, blobstore.ErrRefused), "look at the report in the store's quarantine folder"},
	{isAny(fetch.ErrPinned), "what is there is another by now: ask for its digest, or for a reference that has yours still"},
	{isAny(syscall.ENOSPC, syscall.EDQUOT), "free some space: `mstore rm` a model, then `mstore gc`; what was fetched is kept and resumed"},
	{isAny(syscall.EROFS), "the store's file system is read-only: name another store with --store"},
	{isAny(fs.ErrPermission), "check who owns the folder, or name another store with --store"},
	{isAny(errHubOffline), "run again without HF_HUB_OFFLINE"},
	{isAny(errOffline), "run again without --offline"},
	{at(source.ErrAuth, inHub), "put a token that may read it into HF_TOKEN; the terms of a gated model have to be accepted on its page first"},
	{at(source.ErrAuth, inOllama), "add the key ~/.ollama/id_ed25519.pub, which `ollama` makes, to an account that may do this"},
	{at(source.ErrAuth, onWeb), "put name and password into the URL, https://NAME:PASSWORD@HOST/..., which is kept without them"},
	{isAny(source.ErrAuth), "run `mstore login REGISTRY`, or check that your account may do this"},
	{at(source.ErrProtocol, onWeb), "open the URL in a browser, and look for a link to the file itself"},
	{isAny(source.ErrProtocol), "check the host: what answers there does not speak the protocol of this reference"},
	{isAny(manifest.ErrNoPlatform), "name one of these with --platform, or a manifest of the index by its digest: NAME@sha256:..."},
	{isAny(export.ErrExists), "name another folder, or remove what is in the way"},
	{isAny(export.ErrLayout), "give the model a name that fits with `mstore tag`, or choose another --layout"},
	{isAny(source.ErrNoneTaken), "look at the patterns: a * stops at a slash, and *.gguf is in every folder"},
	{at(source.ErrNotFound, inHub), "check the name, the revision and the file; what is private is shown to a token in HF_TOKEN"},
	{at(source.ErrNotFound, inOllama), "check the model and the tag"},
	{at(source.ErrNotFound, onWeb), "check the URL"},
	{at(manifest.ErrUnsafePath, inHub), "such a model is not stored; --exclude leaves out files that are not needed"},
	{isAny(source.ErrNotFound), "check the repository and the tag"},
	{isNotFound, "`mstore list` shows what is in the store"},
	{isAny(blobstore.ErrMismatch), "wrong bytes are never stored; where the store itself is damaged, `mstore verify --repair` mends it"},
	{func(err error) bool { return isTLS(err) && isFrom(err, onWeb) }, "write http:// if the server speaks no TLS, or make its certificate known to this machine"},
	{isTLS, "use --plain-http if the registry speaks no TLS, or make its certificate known to this machine"},
	{isNetwork, "check the host and the connection; the same command resumes what was fetched"},
	{isAny(local.ErrNotFound), "`oras repo tags --oci-layout DIR` or a look into DIR/index.json shows what is there"},
	{isAny(fs.ErrNotExist), "check the path"},
	{isPath, "look at what lies there, and who may use it"},
}

func isNotFound(err error) bool { return isA[*NotFoundError](err) }
