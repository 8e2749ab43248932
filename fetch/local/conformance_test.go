package local_test

import (
	"io/fs"
	"path/filepath"
	"strings"
	"testing"

	"github.com/mstore/mstore/fetch/local"
	"github.com/mstore/mstore/fetch/sourcetest"
)

// inBytes is files as the conformance suite wants them.
func inBytes(files map[string]string) map[string][]byte {
	out := make(map[string][]byte, len(files))
	for path, content := range files {
		out[path] = []byte(content)
	}
	return out
}

func TestConformanceOfFiles(t *testing.T) {
	files := map[string]string{"config.json": "{}", "deep/w.bin": strings.Repeat("weights!", sourcetest.MinLarge/8), "empty": ""}
	other := map[string]string{"config.json": "{ }", "deep/w.bin": "small", "empty": ""}
	sourcetest.Run(t, func(t *testing.T) sourcetest.World {
		dir := write(t, filepath.Join(t.TempDir(), "Model"), files)
		return sourcetest.World{
			Source: local.Files{}, Ref: dir, Files: inBytes(files), OnDisk: true,
			Missing: []string{dir + "/none"}, WantMissing: fs.ErrNotExist,
			Malformed: []string{""}, WantMalformed: local.ErrPath,
			Change: func(t *testing.T) map[string][]byte {
				write(t, dir, other)
				return inBytes(other)
			},
		}
	})
}

func TestConformanceOfLayout(t *testing.T) {
	files := map[string]string{"config.json": "{}", "w.bin": strings.Repeat("weights!", sourcetest.MinLarge/8), "empty": ""}
	other := map[string]string{"config.json": "{ }", "w.bin": "small"}
	sourcetest.Run(t, func(t *testing.T) sourcetest.World {
		l := newLayout(t)
		l.model("v1", files)
		l.save()
		return sourcetest.World{
			Source: local.Layout{}, Ref: l.dir + ":v1", Files: inBytes(files), OnDisk: true,
			Missing: []string{l.dir + ":v2", l.dir + "/none"}, WantMissing: fs.ErrNotExist,
			Malformed: []string{l.dir + ":"}, WantMalformed: local.ErrPath,
			Change: func(t *testing.T) map[string][]byte {
				l.index.Manifests = nil
				l.model("v1", other)
				l.save()
				return inBytes(other)
			},
		}
	})
}
