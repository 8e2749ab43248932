package main_test

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	main "github.com/mstore/mstore/internal/tinymodel"
)

const committed = "../../testdata/tiny-llama"

// TestTheCommittedModelIsWhatThisProgramMakes fails when one was changed without the other: run go generate.
func TestTheCommittedModelIsWhatThisProgramMakes(t *testing.T) {
	dir := t.TempDir()
	if err := main.Write(dir); err != nil {
		t.Fatal(err)
	}
	made, want := files(t, dir), files(t, committed)
	for name := range want {
		if !bytes.Equal(made[name], want[name]) {
			t.Errorf("%s: %d bytes committed, and %d other ones made", name, len(want[name]), len(made[name]))
		}
	}
	for name := range made {
		if _, ok := want[name]; !ok {
			t.Errorf("%s is made and not committed", name)
		}
	}
	const least = 8
	if len(want) < least {
		t.Errorf("the committed model has %d files", len(want))
	}
}

// TestTheTensorsFillTheFile reads the weights by the rules of the format.
func TestTheTensorsFillTheFile(t *testing.T) {
	file := files(t, committed)["model.safetensors"]
	header := 8 + binary.LittleEndian.Uint64(file)
	var tensors map[string]struct {
		DType   string   `json:"dtype"`
		Shape   []int    `json:"shape"`
		Offsets []uint64 `json:"data_offsets"`
	}
	if err := json.Unmarshal(file[8:header], &tensors); err != nil {
		t.Fatal(err)
	}
	delete(tensors, "__metadata__")
	size := map[string]uint64{"BF16": 2, "F32": 4}
	var sum uint64
	for name, tensor := range tensors {
		bytes := size[tensor.DType]
		for _, d := range tensor.Shape {
			bytes *= uint64(d)
		}
		if tensor.Offsets[1]-tensor.Offsets[0] != bytes || bytes == 0 {
			t.Errorf("%s is %d bytes by its shape and lies at %v", name, bytes, tensor.Offsets)
		}
		sum += bytes
	}
	if header%8 != 0 || header+sum != uint64(len(file)) {
		t.Errorf("a header of %d and tensors of %d bytes do not fill %d", header, sum, len(file))
	}
}

func files(t *testing.T, dir string) map[string][]byte {
	t.Helper()
	all := map[string][]byte{}
	err := filepath.WalkDir(dir, func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		rel, err := filepath.Rel(dir, name)
		if err != nil {
			return err
		}
		all[filepath.ToSlash(rel)], err = os.ReadFile(name)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}
