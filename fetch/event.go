package fetch

import (
	"time"

	"github.com/opencontainers/go-digest"
)

// EventKind says what happened.
type EventKind string

// The life of one file: Start, then Progress and Retry and Wait in any number, then Done. Resolved comes once a model,
// before its files; a file that is in the store already has one event, Done. Done does not shrink, but with a Start that
// follows on a Wait or a Retry: the other process was killed, or the bytes were wrong.
const (
	Resolved EventKind = "resolved" // the model is known: Size is its bytes, each blob once, Files how many it has
	Start    EventKind = "start"    // bytes of the file are about to move
	Progress EventKind = "progress" // Done has grown
	Wait     EventKind = "wait"     // another process is fetching the same blob, of which it has Done: this one waits for it
	Retry    EventKind = "retry"    // a try failed with Err and will be repeated after Wait
	Done     EventKind = "done"     // the file is in the store, or at the registry it was pushed to
)

// Event is one thing that happened to one file of a model. The counters are cumulative for the file, in bytes.
type Event struct {
	Kind    EventKind     `json:"event"`
	Model   string        `json:"model"`
	Path    string        `json:"path,omitempty"` // of the file in the model; empty for config and manifest
	Digest  digest.Digest `json:"digest,omitempty"`
	Files   int           `json:"files,omitempty"`   // of the model, with Resolved
	Size    int64         `json:"size"`              // negative when not known
	Done    int64         `json:"done"`              // here so far, Reused included
	Reused  int64         `json:"reused"`            // was here before: in the store, or in a partial blob that is resumed
	Attempt int           `json:"attempt,omitempty"` // the next one, with Retry: 1 is the first that is not the first try
	Wait    time.Duration `json:"wait,omitempty"`    // before the retry
	Err     error         `json:"-"`                 // why there is a retry
}
