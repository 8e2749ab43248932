package spec_test

import (
	"bytes"
	"encoding/hex"
	"errors"
	"io"
	"testing"

	"github.com/mstore/mstore/blobstore/pack"
)

func unpack(t *testing.T, digits string) (string, error) {
	t.Helper()
	raw, err := hex.DecodeString(digits)
	if err != nil {
		t.Fatal(err)
	}
	r, err := pack.NewReader(bytes.NewReader(raw), int64(len(raw)))
	if err != nil {
		return "", err
	}
	defer func() { _ = r.Close() }()
	out, err := io.ReadAll(io.NewSectionReader(r, 0, r.Size()))
	return hex.EncodeToString(out), err
}

func TestPacked(t *testing.T) {
	v := load(t, "packed.json")
	for i, g := range v.Accepted {
		if got, err := unpack(t, g.Hex); err != nil || got != g.Out {
			t.Errorf("case %d gives %q, %v; want %q", i, got, err, g.Out)
		}
	}
	for _, g := range v.Refused {
		if got, err := unpack(t, g.Hex); !errors.Is(err, pack.ErrFormat) {
			t.Errorf("%s: gives %q, %v", g.Why, got, err)
		}
	}
}
