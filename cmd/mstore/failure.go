package main

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/mstore/mstore"
)

// The exit codes, a contract with scripts.
const (
	exitDone           = 0
	exitInternal       = 1
	exitUsage          = 2
	exitNotFound       = 3
	exitVerification   = 4
	exitQuarantined    = 5
	exitNetwork        = 6
	exitAuthentication = 7
	exitStorage        = 8
	exitBusy           = 9
	exitInterrupted    = 130
)

// exitCode is the code of an error's class.
func exitCode(err error) int {
	if err == nil {
		return exitDone
	}
	if status, ok := errors.AsType[statusError](err); ok {
		return int(status)
	}
	switch classOf(err) {
	case mstore.ErrUsage:
		return exitUsage
	case mstore.ErrNotFound:
		return exitNotFound
	case mstore.ErrVerification:
		return exitVerification
	case mstore.ErrQuarantined:
		return exitQuarantined
	case mstore.ErrNetwork:
		return exitNetwork
	case mstore.ErrAuthentication:
		return exitAuthentication
	case mstore.ErrStorage:
		return exitStorage
	case mstore.ErrBusy:
		return exitBusy
	case mstore.ErrInterrupted:
		return exitInterrupted
	default:
		return exitInternal
	}
}

// classOf is the class of an error of the library, or of the command's own, which wrap their class.
func classOf(err error) mstore.Class {
	if own, ok := errors.AsType[mstore.Class](err); ok {
		return own
	}
	return mstore.ClassOf(err)
}

// statusError leaves with a code and says nothing: whatever there was to say has been said.
type statusError int

func (e statusError) Error() string { return fmt.Sprintf("exit status %d", int(e)) }

// usageError is a command line that cannot be, with what to do about it.
type usageError struct{ text, hint string }

func (e *usageError) Error() string { return e.text }

// Unwrap gives the error its class.
func (e *usageError) Unwrap() error { return mstore.ErrUsage }

func usagef(format string, args ...any) *usageError {
	return &usageError{text: fmt.Sprintf(format, args...)}
}

// advised is an error of the library in words, or with a hint, that only somebody knows who saw what was typed.
type advised struct {
	cause error
	text  string // empty: the cause's
	hint  string
}

func (e *advised) Error() string {
	if e.text != "" {
		return e.text
	}
	return e.cause.Error()
}

// Unwrap gives the error its class.
func (e *advised) Unwrap() error { return e.cause }

// about says what was under way when an error came that does not.
func about(doing, what string, err error) error {
	_, bare, _ := strings.Cut(what, "://") // most sources say it without
	if strings.Contains(err.Error(), what) || bare != "" && strings.Contains(err.Error(), bare) || classOf(err) == mstore.ErrInterrupted {
		return err
	}
	return fmt.Errorf("%s %s: %w", doing, what, err)
}

// hintFor is what to do about an error; empty when there is nothing to say.
func hintFor(err error) string {
	var usage *usageError
	var better *advised
	switch {
	case errors.As(err, &usage):
		return usage.hint
	case errors.As(err, &better):
		return better.hint
	}
	return mstore.Hint(err)
}

// fault is an error in the JSON results of commands on several models.
type fault struct {
	Class     string `json:"class"`
	Message   string `json:"message"`
	Hint      string `json:"hint,omitempty"`
	Retryable bool   `json:"retryable"`
}

func faultOf(err error) *fault {
	return &fault{
		Class: string(classOf(err)), Message: sentence(err.Error()), Hint: hintFor(err),
		Retryable: mstore.Retryable(err),
	}
}

// report says on standard error what failed, on what, why, and what to do about it.
func (p *program) report(err error) {
	var status statusError
	if err == nil || errors.As(err, &status) {
		return
	}
	f := faultOf(err)
	if f.Hint == "" && f.Class == string(mstore.ErrUsage) {
		f.Hint = "`" + strings.TrimSpace("mstore "+p.command) + " --help` says more"
	}
	if p.jsonLog {
		attrs := []any{"class", f.Class, "retryable", f.Retryable}
		if f.Hint != "" {
			attrs = append(attrs, "hint", f.Hint)
		}
		p.log.Error(f.Message, attrs...)
		return
	}
	p.say("mstore: %s", f.Message)
	if f.Hint != "" {
		p.say("hint: %s", sentence(f.Hint))
	}
}

// interrupted is what is left to say after Ctrl-C.
func (p *program) interrupted() error {
	if p.command == "" {
		return context.Canceled
	}
	err := fmt.Errorf("%s: %w", p.command, errInterrupted)
	if hint := resumeHint(p.command); hint != "" {
		return &advised{cause: err, hint: hint}
	}
	return err
}

// errInterrupted says in plain words what context.Canceled means here.
var errInterrupted error = interruption{}

type interruption struct{}

func (interruption) Error() string        { return "interrupted" }
func (interruption) Is(target error) bool { return target == context.Canceled }

// resumeHint says what became of the work of a command that was interrupted.
func resumeHint(command string) string {
	switch command {
	case "pull", "import", "push":
		return "the same command resumes: what was done so far is kept"
	case "verify", "export", "gc":
		return "the same command does the rest"
	default:
		return ""
	}
}

// each does something for every one of several names and goes on after a failure. The result is the failure with the
// highest exit code, said already.
func (p *program) each(ctx context.Context, names []string, do func(name string) error) error {
	worst := exitDone
	for _, name := range names {
		err := do(name)
		if ctx.Err() != nil && err != nil {
			return p.interrupted()
		}
		p.report(err)
		worst = max(worst, exitCode(err))
	}
	if worst != exitDone {
		return statusError(worst)
	}
	return nil
}
