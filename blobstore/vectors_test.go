package blobstore_test

import (
	"encoding/hex"
	"encoding/json"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/mstore/mstore/blobstore"
)

// partialVector is a case of spec/vectors/partial.json.
type partialVector struct {
	File string `json:"file"` // journal, checkpoint or watermark
	Boot string `json:"boot"`
	Hex  string `json:"hex"`
	Out  string `json:"out"` // extents of the first 1000 bytes, or an offset and a sha256
	Why  string `json:"why"`
}

// read gives what a file of a partial says, as the vectors have it; nothing when it says nothing.
func (v partialVector) read(raw []byte) string {
	if v.File == "journal" {
		var all []string
		for _, r := range blobstore.ParseJournal(raw, v.Boot, 1000) {
			all = append(all, fmt.Sprintf("%d-%d", r[0], r[1]))
		}
		return strings.Join(all, " ")
	}
	key := ""
	if v.File == "checkpoint" {
		key = v.Boot
	}
	if offset := blobstore.MarkOffset(raw, key); offset > 0 {
		return fmt.Sprintf("%d %x", offset, blobstore.MarkSum(raw, key))
	}
	return ""
}

// TestPartialVectors holds the files of a partial to the vectors. A file without cases proves nothing, and fails.
func TestPartialVectors(t *testing.T) {
	raw, err := os.ReadFile("../spec/vectors/partial.json")
	var v struct {
		About             string
		Accepted, Refused []partialVector
	}
	try(t, err, json.Unmarshal(raw, &v))
	if v.About == "" || len(v.Accepted) == 0 || len(v.Refused) == 0 {
		t.Fatalf("%d accepted and %d refused cases, which say %q", len(v.Accepted), len(v.Refused), v.About)
	}
	for _, c := range append(v.Accepted, v.Refused...) {
		raw, err := hex.DecodeString(c.Hex)
		try(t, err)
		if got := c.read(raw); got != c.Out {
			t.Errorf("%s of boot %q (%s) says %q, want %q: %s", c.File, c.Boot, c.Why, got, c.Out, c.Hex)
		}
	}
}
