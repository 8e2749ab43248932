package mstore_test

import (
	"errors"
	"strings"
	"testing"
	"unicode"

	"github.com/google/go-cmp/cmp"

	"github.com/mstore/mstore"
)

// wantFailure looks at an error as those do who get it: its class, by errors.Is and ClassOf; one sentence fit for a
// terminal; for most classes a hint.
func wantFailure(t testing.TB, what string, err error, want mstore.Class) {
	t.Helper()
	if err == nil {
		t.Errorf("%s: no error, want %v", what, want)
		return
	}
	if !errors.Is(err, want) || mstore.ClassOf(err) != want {
		t.Errorf("%s: class %q, want %q: %v", what, mstore.ClassOf(err), want, err)
	}
	const most = 700
	text := err.Error()
	if text == "" || len(text) > most || strings.HasSuffix(text, ".") || strings.ContainsFunc(text, notPrintable) {
		t.Errorf("%s: not a sentence for a person: %q", what, text)
	}
	switch want {
	case mstore.ErrNetwork, mstore.ErrAuthentication, mstore.ErrStorage:
		if mstore.Hint(err) == "" {
			t.Errorf("%s: no hint for %v", what, err)
		}
	}
	if hint := mstore.Hint(err); strings.HasSuffix(hint, ". ") || strings.ContainsFunc(hint, notPrintable) {
		t.Errorf("%s: not a hint: %q", what, hint)
	}
}

func notPrintable(r rune) bool { return !unicode.IsPrint(r) }

// changesNothing does what fails, and wants the store to have the tags and blobs that it had.
func changesNothing(t testing.TB, what string, s *mstore.Store, want mstore.Class, do func() error) {
	t.Helper()
	before := look(t, s)
	wantFailure(t, what, do(), want)
	if diff := cmp.Diff(before, look(t, s)); diff != "" {
		t.Errorf("%s: the store changed (-before +after):\n%s", what, diff)
	}
}
