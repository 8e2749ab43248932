// Package storecheck looks at a store from outside and says what is lost, wrong or odd in it.
//
// It is the judge of the tests that kill, starve and race the store, so it shares nothing with what it judges: it
// imports no package of this module, knows a store by spec/store-layout.md alone, takes no lock, changes nothing and
// believes no name, size or time that it has not held against the bytes. Nobody may use the store while it looks;
// a blob that a sweep moves meanwhile would be called lost.
package storecheck

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// Kind says how bad a finding is.
type Kind string

// The kinds of findings.
const (
	Lost  Kind = "lost"  // a tag names it, and it is not there
	Wrong Kind = "wrong" // it is there, and is not what its name says, or cannot be read
	Odd   Kind = "odd"   // no harm, but it should not be there, or should be
)

// Finding is one thing that is not as it should be.
type Finding struct {
	Kind Kind
	Path string // below the root, with slashes
	Text string
}

func (f Finding) String() string { return fmt.Sprintf("%s: %s: %s", f.Kind, f.Path, f.Text) }

// Options of Check. The zero value is what must be so at any instant at which all processes stop, killed or not.
type Options struct {
	// Recovered adds what must be so after `verify --repair`: trash/, leases/ and ingest/ are empty, index.json is what
	// the tags say, and nobody's unfinished write is left anywhere.
	Recovered bool
	// Swept adds what must be so after a gc beside nobody: the blobs are those that tags reach, and no other.
	Swept bool
}

// Check reads the whole store at root. The findings are sorted by path.
func Check(root string, opts Options) []Finding {
	c := &checker{root: root, blobs: make(map[string]int64), packed: make(map[string]bool), reached: make(map[string]bool)}
	c.frame()
	c.readBlobs("packed/sha256", false)
	c.readBlobs("blobs/sha256", false)
	c.readBlobs("trash", true)
	tags := c.readTags()
	c.readPins(tags)
	c.readIndex(tags, opts.Recovered)
	if opts.Recovered {
		c.recovered()
	}
	if opts.Swept {
		c.swept()
	}
	slices.SortFunc(c.found, func(a, b Finding) int { return strings.Compare(a.String(), b.String()) })
	slices.SortStableFunc(c.found, func(a, b Finding) int { return strings.Compare(a.Path, b.Path) })
	return c.found
}

// Bad is the findings that no kill excuses: what is lost or wrong.
func Bad(found []Finding) []Finding {
	return slices.DeleteFunc(slices.Clone(found), func(f Finding) bool { return f.Kind == Odd })
}

// checker is one Check. blobs is the size of each true blob, in blobs/ or in trash/, by the hexadecimal digits of the
// sha256 that its bytes have; reached is those that a tag leads to.
type checker struct {
	root    string
	found   []Finding
	blobs   map[string]int64
	packed  map[string]bool // those that are packed, and nowhere raw
	reached map[string]bool
}

func (c *checker) say(k Kind, path, format string, args ...any) {
	c.found = append(c.found, Finding{k, path, fmt.Sprintf(format, args...)})
}

func (c *checker) at(path string) string { return filepath.Join(c.root, filepath.FromSlash(path)) }

// list is what is in a folder. One that is not there says so, as wrong, unless it may be missing.
func (c *checker) list(dir string, mayMiss bool) []fs.DirEntry {
	entries, err := os.ReadDir(c.at(dir))
	if err != nil && (!mayMiss || !os.IsNotExist(err)) {
		c.say(Wrong, dir, "%v", err)
	}
	return entries
}

// frame checks the two files that make the folder a store and an image layout.
func (c *checker) frame() {
	var store struct {
		Version int `json:"version"`
	}
	if c.readJSON("store.json", &store) && store.Version < 1 {
		c.say(Wrong, "store.json", "version %d", store.Version)
	}
	var layout struct {
		Version string `json:"imageLayoutVersion"`
	}
	if c.readJSON("oci-layout", &layout) && layout.Version != "1.0.0" {
		c.say(Wrong, "oci-layout", "version %q", layout.Version)
	}
}

// readJSON reads a file that must be there, regular and one JSON value.
func (c *checker) readJSON(path string, into any) bool {
	info, err := os.Lstat(c.at(path))
	var raw []byte
	if err == nil && !info.Mode().IsRegular() {
		err = fmt.Errorf("it is %v", info.Mode())
	}
	if err == nil {
		raw, err = os.ReadFile(c.at(path))
	}
	if err == nil {
		err = json.Unmarshal(raw, into)
	}
	if err != nil {
		c.say(Wrong, path, "%v", err)
	}
	return err == nil
}

// readPins checks that a pin is of a tag.
func (c *checker) readPins(tags map[string]tag) {
	for _, e := range c.list("pins", false) {
		path := "pins/" + e.Name()
		_, tagged := tags[e.Name()]
		switch {
		case unfinished(e.Name()):
		case !e.Type().IsRegular():
			c.say(Wrong, path, "it is %v", e.Type())
		case !tagged:
			c.say(Odd, path, "the pin of no tag")
		}
	}
}

// readIndex checks that index.json can be read and, when it must be fresh, that it is what the tags say.
func (c *checker) readIndex(tags map[string]tag, fresh bool) {
	const path = "index.json"
	var index struct {
		SchemaVersion int          `json:"schemaVersion"`
		Manifests     []descriptor `json:"manifests"`
	}
	if !c.readJSON(path, &index) {
		return
	}
	if index.SchemaVersion != schemaVersion {
		c.say(Wrong, path, "schemaVersion %d", index.SchemaVersion)
	}
	named := make(map[string]descriptor)
	for _, d := range index.Manifests {
		name := d.Annotations["org.opencontainers.image.ref.name"]
		if _, twice := named[name]; twice || name == "" {
			c.say(Wrong, path, "it names %q twice, or nothing", name)
		}
		named[name] = d
	}
	if !fresh {
		return
	}
	for _, t := range tags {
		if c.hasPacked(t) { // other tools cannot read it: it is not to be there
			continue
		}
		if d, ok := named[t.Name]; !ok || d.Digest != t.Descriptor.Digest || d.Size != t.Descriptor.Size {
			c.say(Odd, path, "it does not say what tag %q says", t.Name)
		}
		delete(named, t.Name)
	}
	for name := range named {
		c.say(Odd, path, "it names %q, which is no tag", name)
	}
}

// recovered wants nothing left of the work of dead processes.
func (c *checker) recovered() {
	for _, dir := range []string{"trash", "leases", "ingest"} {
		for _, e := range c.list(dir, true) {
			c.say(Odd, dir+"/"+e.Name(), "left behind")
		}
	}
	for _, dir := range []string{".", "blobs/sha256", "packed/sha256", "tags", "pins", "locks", "views", "quarantine", "pulls"} {
		for _, e := range c.list(dir, true) {
			if unfinished(e.Name()) {
				c.say(Odd, filepath.ToSlash(filepath.Join(dir, e.Name())), "an unfinished write")
			}
		}
	}
}

// unfinished tells whether a name is one that writers use before what they write is whole.
func unfinished(name string) bool {
	return strings.HasPrefix(name, ".tmp-") || strings.HasPrefix(name, ".mstore-") || strings.HasPrefix(name, ".new-")
}

// swept wants no blob that nothing needs.
func (c *checker) swept() {
	for hex := range c.blobs {
		if !c.reached[hex] {
			c.say(Odd, "blobs/sha256/"+hex, "no tag reaches it")
		}
	}
}

// withheld tells whether the quarantine says of a digest that nobody may have it, and says where it cannot be read.
func (c *checker) withheld(hex string) bool {
	path := "quarantine/" + hex + "/report.json"
	raw, err := os.ReadFile(c.at(path))
	if err != nil {
		return false
	}
	var report struct{ Digest, Verdict string }
	if err := json.NewDecoder(bytes.NewReader(raw)).Decode(&report); err != nil {
		c.say(Wrong, path, "%v", err)
		return true
	}
	return report.Verdict == "refused"
}
