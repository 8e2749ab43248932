package storecheck_test

import (
	"context"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"

	"github.com/mstore/mstore"
	"github.com/mstore/mstore/internal/storecheck"
)

// all asks for everything.
var all = storecheck.Options{Recovered: true, Swept: true}

// ill is a store that a test damages: one model of several files, under a name that has to be escaped.
type ill struct {
	*testing.T
	root     string
	manifest string // its sha256
	weights  string // the sha256 of a file of the model
}

const modelName = "host.example/Org/model:v1"

func sick(t *testing.T) ill {
	t.Helper()
	root := filepath.Join(t.TempDir(), "store")
	s, err := mstore.Open(root, mstore.Options{})
	if err != nil {
		t.Fatal(err)
	}
	files := t.TempDir()
	err = os.WriteFile(filepath.Join(files, "model.gguf"), []byte("weights"), 0o600)
	err = errors.Join(err, os.WriteFile(filepath.Join(files, "README.md"), []byte("read me"), 0o600))
	if err != nil {
		t.Fatal(err)
	}
	p, err := s.Import(context.Background(), []string{files}, modelName, mstore.ImportOptions{})
	err = errors.Join(err, s.Pin(t.Context(), modelName), s.Close())
	if err != nil {
		t.Fatal(err)
	}
	return ill{t, root, p.Digest.Encoded(), digest.FromString("weights").Encoded()}
}

func (i ill) at(path ...string) string { return filepath.Join(append([]string{i.root}, path...)...) }

func (i ill) try(errs ...error) {
	i.Helper()
	if err := errors.Join(errs...); err != nil {
		i.Fatal(err)
	}
}

func (i ill) blob(hex string) string { return i.at("blobs", "sha256", hex) }

// rewrite replaces what a file has, and leaves its mode.
func (i ill) rewrite(path string, change func(string) string) {
	i.Helper()
	info, err := os.Stat(path)
	i.try(err)
	raw, err := os.ReadFile(path)
	i.try(err)
	next := change(string(raw))
	if next == string(raw) {
		i.Fatal("nothing was changed")
	}
	i.try(os.Chmod(path, 0o600), os.WriteFile(path, []byte(next), 0o600), os.Chmod(path, info.Mode()))
}

// the file of the tag, in tags/ and in pins/.
func (i ill) file() string { return "host.example%2f!org%2fmodel%3av1" }

func (i ill) tag() string { return i.at("tags", i.file()) }

func (i ill) plant(path, text string) {
	i.Helper()
	i.try(os.MkdirAll(filepath.Dir(i.at(path)), 0o755), os.WriteFile(i.at(path), []byte(text), 0o444))
}

// publish makes text a blob, and the tag mean it.
func (i ill) publish(text string) {
	i.Helper()
	hex := digest.FromString(text).Encoded()
	i.plant("blobs/sha256/"+hex, text)
	i.rewrite(i.tag(), func(raw string) string {
		var tag map[string]any
		i.try(json.Unmarshal([]byte(raw), &tag))
		tag["descriptor"] = map[string]any{"digest": "sha256:" + hex, "size": len(text)}
		next, err := json.Marshal(tag)
		i.try(err)
		return string(next)
	})
}

func replace(old, next string) func(string) string {
	return func(raw string) string { return strings.Replace(raw, old, next, 1) }
}

func without(path string) func(ill) { return func(i ill) { i.try(os.RemoveAll(i.at(path))) } }

func plant(path, text string) func(ill) { return func(i ill) { i.plant(path, text) } }

var nowhere = strings.Repeat("0", 64)

// damages is what may happen to a store, and a part of what must be found, whatever the options.
var damages = map[string]struct {
	do   func(i ill)
	want string
}{
	"a blob is gone":          {func(i ill) { i.try(os.Remove(i.blob(i.weights))) }, "lost: tags/"},
	"a manifest is gone":      {func(i ill) { i.try(os.Remove(i.blob(i.manifest))) }, "lost: tags/"},
	"a flipped bit":           {func(i ill) { i.rewrite(i.blob(i.weights), replace("w", "W")) }, "wrong: blobs/sha256/"},
	"a blob is cut":           {func(i ill) { i.rewrite(i.blob(i.weights), replace("weights", "w")) }, "wrong: blobs/sha256/"},
	"a bad blob of no tag":    {plant("blobs/sha256/"+nowhere, "x"), "wrong: blobs/sha256/" + nowhere},
	"a bad blob in the trash": {plant("trash/"+nowhere+".n", "x"), "wrong: trash/" + nowhere},
	"a mode":                  {func(i ill) { i.try(os.Chmod(i.blob(i.weights), 0o644)) }, "mode -rw-r--r--"},
	"a folder for a blob": {func(i ill) {
		i.try(os.Remove(i.blob(i.weights)), os.Mkdir(i.blob(i.weights), 0o755))
	}, "wrong: blobs/sha256/"},
	"a link for a blob": {func(i ill) {
		moved := i.at("moved")
		i.try(os.Rename(i.blob(i.weights), moved), os.Symlink(moved, i.blob(i.weights)))
	}, "wrong: blobs/sha256/"},
	"no blobs":              {without("blobs"), "wrong: blobs/sha256"},
	"no tags":               {without("tags"), "wrong: tags"},
	"no pins":               {without("pins"), "wrong: pins"},
	"no layout":             {without("oci-layout"), "wrong: oci-layout"},
	"another layout":        {func(i ill) { i.rewrite(i.at("oci-layout"), replace("1.0.0", "2.0.0")) }, "wrong: oci-layout"},
	"no store":              {without("store.json"), "wrong: store.json"},
	"a store of no version": {func(i ill) { i.rewrite(i.at("store.json"), replace(`"version"`, `"v"`)) }, "wrong: store.json"},
	"a tag cut short":       {func(i ill) { i.try(os.Truncate(i.tag(), 20)) }, "wrong: tags/"},
	"an empty tag":          {func(i ill) { i.try(os.Truncate(i.tag(), 0)) }, "wrong: tags/"},
	"a folder for a tag":    {func(i ill) { i.try(os.Mkdir(i.at("tags", "x"), 0o755)) }, "wrong: tags/x"},
	"a tag under another name": {func(i ill) {
		i.try(os.Rename(i.tag(), i.at("tags", "other")))
	}, "it says that its name is"},
	"a tag in the wrong case": {func(i ill) { i.rewrite(i.tag(), replace("Org", "org")) }, "it says that its name is"},
	"a tag of no digest":      {func(i ill) { i.rewrite(i.tag(), replace("sha256:", "sha256:../")) }, "which is no digest"},
	"a size in a tag":         {func(i ill) { i.rewrite(i.tag(), replace(`"size":`, `"size":1`)) }, "bytes, and it has"},
	"a size in a manifest": {func(i ill) {
		i.publish(`{"schemaVersion":2,"config":{"digest":"sha256:` + i.weights + `","size":8}}`)
	}, "has 8 bytes, and it has 7"},
	"no manifest":     {func(i ill) { i.publish("garbage") }, "wrong: tags/"},
	"neither of both": {func(i ill) { i.publish(`{"schemaVersion":2}`) }, "neither a manifest nor an index"},
	"an index with nothing here": {func(i ill) {
		i.publish(`{"schemaVersion":2,"manifests":[{"digest":"sha256:` + nowhere + `","size":1}]}`)
	}, "lost: tags/"},
	"an index, an entry of which lacks a blob": {func(i ill) {
		raw, err := os.ReadFile(i.blob(i.manifest))
		i.try(err, os.Remove(i.blob(i.weights)))
		entry, err := json.Marshal(map[string]any{"digest": "sha256:" + i.manifest, "size": len(raw)})
		i.try(err)
		i.publish(`{"schemaVersion":2,"manifests":[` + string(entry) + `]}`)
	}, "lost: tags/"},
	"a needed blob is withheld": {func(i ill) {
		i.plant("quarantine/"+i.weights+"/report.json", `{"verdict":"refused"}`)
	}, "which is withheld"},
	"a report that cannot be read": {func(i ill) { i.plant("quarantine/"+i.weights+"/report.json", `{`) }, "wrong: quarantine/"},
	"a pin of nothing":             {plant("pins/other", ""), "odd: pins/other"},
	"a folder for a pin":           {func(i ill) { i.try(os.Mkdir(i.at("pins", "other"), 0o755)) }, "wrong: pins/other"},
	"a foreign file":               {plant("blobs/sha256/README", ""), "odd: blobs/sha256/README"},
	"no index":                     {without("index.json"), "wrong: index.json"},
	"half an index":                {func(i ill) { i.try(os.Truncate(i.at("index.json"), 30)) }, "wrong: index.json"},
	"no schema of an index": {func(i ill) {
		i.rewrite(i.at("index.json"), replace(`"schemaVersion":2`, `"schemaVersion":1`))
	}, "wrong: index.json"},
	"an index of a nameless": {func(i ill) { i.rewrite(i.at("index.json"), replace(modelName, "")) }, "wrong: index.json"},
}

// remains is what a kill may leave: nothing bad, and what must be found in a store that is to have no remains.
var remains = map[string]struct {
	do   func(i ill)
	want string
}{
	"a blob in the trash": {func(i ill) {
		i.try(os.MkdirAll(i.at("trash"), 0o755), os.Rename(i.blob(i.weights), i.at("trash", i.weights+".nonce")))
	}, "odd: trash/"},
	"a manifest in the trash": {func(i ill) {
		i.try(os.MkdirAll(i.at("trash"), 0o755), os.Rename(i.blob(i.manifest), i.at("trash", i.manifest+".nonce")))
	}, "odd: trash/"},
	"a lease":             {plant("leases/x", "{}\n"), "odd: leases/x"},
	"an ingest":           {plant("ingest/x.y/data", ""), "odd: ingest/x.y"},
	"an unfinished tag":   {plant("tags/.tmp-1", "{"), "odd: tags/.tmp-1"},
	"an unfinished index": {plant(".tmp-1", "{"), "odd: .tmp-1"},
	"an unfinished view":  {plant("views/.mstore-1/x", ""), "odd: views/.mstore-1"},
	"a stale index":       {func(i ill) { i.rewrite(i.at("index.json"), replace("host.", "other.")) }, "odd: index.json"},
	"a blob of nobody":    {func(i ill) { i.plant("blobs/sha256/"+digest.FromString("x").Encoded(), "x") }, "no tag reaches it"},
	"a moved tag": {func(i ill) {
		i.publish(`{"schemaVersion":2,"config":{"digest":"sha256:` + i.weights + `","size":7}}`)
	}, "odd: index.json"},
}

func TestAHealthyStore(t *testing.T) {
	if got := storecheck.Check(sick(t).root, all); len(got) > 0 {
		t.Errorf("Check = %q, want nothing", got)
	}
}

func TestDamagesAreFound(t *testing.T) {
	for name, c := range damages {
		t.Run(name, func(t *testing.T) {
			i := sick(t)
			c.do(i)
			got := storecheck.Check(i.root, storecheck.Options{})
			wantFinding(t, got, c.want)
			if bad := storecheck.Bad(got); len(bad) == 0 && !strings.HasPrefix(c.want, "odd") {
				t.Errorf("Bad = %q of %q", bad, got)
			}
		})
	}
}

func TestRemainsOfAKill(t *testing.T) {
	for name, c := range remains {
		t.Run(name, func(t *testing.T) {
			i := sick(t)
			c.do(i)
			if got := storecheck.Check(i.root, storecheck.Options{}); len(got) > 0 {
				t.Errorf("Check = %q: a kill may leave that", got)
			}
			got := storecheck.Check(i.root, all)
			wantFinding(t, got, c.want)
			if bad := storecheck.Bad(got); len(bad) > 0 {
				t.Errorf("Bad = %q", bad)
			}
		})
	}
}

func wantFinding(t *testing.T, got []storecheck.Finding, want string) {
	t.Helper()
	if !slices.ContainsFunc(got, func(f storecheck.Finding) bool { return strings.Contains(f.String(), want) }) {
		t.Errorf("Check = %q, want %q", got, want)
	}
}

// TestNamesOfTheSpecification: the names of the vectors, each with a tag of its own.
func TestNamesOfTheSpecification(t *testing.T) {
	raw, err := os.ReadFile(filepath.FromSlash("../../spec/vectors/names.json"))
	var vectors struct {
		Accepted []struct{ In, Out string }
	}
	if err = errors.Join(err, json.Unmarshal(raw, &vectors)); err != nil || len(vectors.Accepted) < 10 {
		t.Fatal(len(vectors.Accepted), err)
	}
	i := sick(t)
	tag, err := os.ReadFile(i.tag())
	i.try(err)
	for _, v := range vectors.Accepted {
		name, err := json.Marshal(v.In)
		i.try(err)
		i.plant("tags/"+v.Out, strings.Replace(string(tag), `"`+modelName+`"`, string(name), 1))
	}
	if got := storecheck.Check(i.root, storecheck.Options{}); len(got) > 0 {
		t.Errorf("Check = %q", got)
	}
}
