package quarantine

import (
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/mstore/mstore/internal/durable"
)

// ErrReport reports a report that is not one: damaged, or written by hand.
var ErrReport = errors.New("not a quarantine report")

const (
	maxReport = 1 << 20 // bytes of a report that are read
	maxText   = 16 << 10
)

// Verdict is why a file is held.
type Verdict string

const (
	// Refused: the bytes are true and must not be used. Their digest is withheld.
	Refused Verdict = "refused"
	// Corrupt: the bytes are not those that were wanted. They are kept for study, and their own digest is not withheld.
	Corrupt Verdict = "corrupt"
)

// Report says what one held file is and why it is held. Texts may come from anywhere and are not safe for a terminal.
type Report struct {
	Digest  digest.Digest `json:"digest"`           // what the bytes have; Hold finds it
	Wanted  digest.Digest `json:"wanted,omitempty"` // what they were taken for, when that is another digest
	Name    string        `json:"name,omitempty"`   // the model's name, or a path in it
	Source  string        `json:"source,omitempty"` // where the bytes came from, as it can be asked for again
	Time    time.Time     `json:"time"`             // when they were held; Hold says now when it is zero
	Verdict Verdict       `json:"verdict"`
	Reason  string        `json:"reason,omitempty"` // for a person; cut at 16 KiB, as are Name and Source
}

// write makes r the report at path, durably, unless it would take back a refusal.
func (r Report) write(path string) error {
	if r.Verdict != Refused && r.Verdict != Corrupt {
		return fmt.Errorf("verdict %q: %w", r.Verdict, ErrReport)
	}
	r.Name, r.Source, r.Reason = clip(r.Name), clip(r.Source), clip(r.Reason)
	data, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		return err
	}
	data = append(data, '\n')
	if r.Verdict == Refused {
		return durable.WriteFile(path, data, reportMode)
	}
	return writeWeak(path, data)
}

// writeWeak writes a report that gives way to any that is there, also to one that another process is writing: a link
// fails when the name is taken. Only what is no report at all is replaced; a damaged one may have been a refusal.
func writeWeak(path string, data []byte) (err error) {
	private := path + "." + rand.Text()
	if err := durable.WriteFile(private, data, reportMode); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, durable.Remove(private)) }() // its sync makes the link durable too
	if durable.Link(private, path) == nil {
		return nil
	}
	if _, err := readReport(path); err == nil || errors.Is(err, ErrReport) {
		return nil
	}
	return durable.WriteFile(path, data, reportMode)
}

// readReport reads the report at path. The error is ErrReport when it is none, else that of the file system.
func readReport(path string) (Report, error) {
	f, err := openRegular(path)
	if err != nil {
		return Report{}, err
	}
	data, err := io.ReadAll(io.LimitReader(f, maxReport+1))
	if err := errors.Join(err, f.Close()); err != nil {
		return Report{}, err
	}
	var r Report
	if err := json.Unmarshal(data, &r); err != nil {
		return Report{}, fmt.Errorf("%s: %w: %w", path, ErrReport, err)
	}
	if len(data) > maxReport || r.Verdict != Refused && r.Verdict != Corrupt {
		return Report{}, fmt.Errorf("%s: %w", path, ErrReport)
	}
	return r, nil
}

// clip bounds a text without cutting a character in two.
func clip(s string) string {
	if len(s) > maxText {
		s = s[:maxText]
	}
	return strings.ToValidUTF8(s, "�")
}
