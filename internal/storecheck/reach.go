package storecheck

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"strings"
)

const (
	schemaVersion = 2 // of manifests and indexes
	maxDepth      = 5 // of indexes in indexes, more than any store follows
	blobMode      = 0o444
)

type descriptor struct {
	MediaType   string            `json:"mediaType"`
	Digest      string            `json:"digest"`
	Size        int64             `json:"size"`
	Annotations map[string]string `json:"annotations"`
}

// tag is a file of tags/, as far as it matters here.
type tag struct {
	Name       string     `json:"name"`
	Descriptor descriptor `json:"descriptor"`
}

// readBlobs hashes what lies in a folder of blobs. In trash a name goes on after the digest. The folder of packed blobs
// is made with the first of them.
func (c *checker) readBlobs(dir string, trash bool) {
	packs := strings.HasPrefix(dir, "packed/")
	for _, e := range c.list(dir, trash || packs) {
		path := dir + "/" + e.Name()
		name, nonce, _ := strings.Cut(e.Name(), ".")
		if packs && nonce == "zst" {
			nonce = ""
		}
		switch {
		case unfinished(e.Name()):
		case !isHex(name) || (nonce != "") != trash:
			c.say(Odd, path, "a foreign name")
		case !e.Type().IsRegular() && trash: // set aside, for a person to look at
			c.say(Odd, path, "it is %v", e.Type())
		case !e.Type().IsRegular():
			c.say(Wrong, path, "it is %v", e.Type())
		default:
			c.readBlob(path, name)
		}
	}
}

func (c *checker) readBlob(path, want string) {
	read := sum
	if strings.HasSuffix(path, ".zst") {
		read = sumPacked
	}
	info, size, got, err := read(c.at(path))
	switch {
	case err != nil:
		c.say(Wrong, path, "%v", err)
	case got != want:
		c.say(Wrong, path, "%d bytes, whose sha256 is %s", size, got)
	default:
		c.blobs[want] = size
		c.packed[want] = strings.HasPrefix(path, "packed/")
	}
	if err == nil && info.Mode() != blobMode {
		c.say(Wrong, path, "mode %v", info.Mode())
	}
}

// sum is what a file is, and the number and the sha256 of its bytes.
func sum(path string) (info os.FileInfo, n int64, hexSum string, err error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, 0, "", err
	}
	defer func() { _ = f.Close() }()
	if info, err = f.Stat(); err != nil {
		return nil, 0, "", err
	}
	hash := sha256.New()
	n, err = io.Copy(hash, f)
	if err == nil && n != info.Size() {
		err = fmt.Errorf("%d bytes were read of %d", n, info.Size())
	}
	return info, n, hex.EncodeToString(hash.Sum(nil)), err
}

func isHex(s string) bool {
	return len(s) == hex.EncodedLen(sha256.Size) && strings.Trim(s, "0123456789abcdef") == ""
}

// readTags is the tags by the names of their files, each followed to its last blob.
func (c *checker) readTags() map[string]tag {
	tags := make(map[string]tag)
	for _, e := range c.list("tags", false) {
		path := "tags/" + e.Name()
		var t tag
		switch {
		case unfinished(e.Name()) || !c.readJSON(path, &t):
		case !sameFile(t.Name, e.Name()):
			c.say(Wrong, path, "it says that its name is %q", t.Name)
		default:
			tags[e.Name()] = t
			c.reach(path, t.Descriptor, true, 0)
		}
	}
	return tags
}

// sameFile tells whether file is the name of the file of the tag called name, by the letter of the specification: what
// is not written as itself is "!" and a small letter, or "%" and two digits; the latter is also allowed for any byte
// at an end, where names that are special to some system are escaped.
func sameFile(name, file string) bool {
	for i := range len(name) {
		b := name[i]
		escaped := fmt.Sprintf("%%%02x", b)
		plain := string(rune(b))
		switch {
		case 'A' <= b && b <= 'Z':
			plain = "!" + strings.ToLower(plain)
		case !strings.Contains("abcdefghijklmnopqrstuvwxyz0123456789._-", plain):
			plain = escaped
		}
		next, ok := strings.CutPrefix(file, plain)
		if !ok && (i == 0 || i == len(name)-1) {
			next, ok = strings.CutPrefix(file, escaped)
		}
		if !ok {
			return false
		}
		file = next
	}
	return name != "" && file == ""
}

// reach follows a descriptor that by names: the blob must be there with its size, and when it is a manifest or an
// index, so must what it names in turn.
func (c *checker) reach(by string, d descriptor, manifest bool, depth int) {
	name, ok := strings.CutPrefix(d.Digest, "sha256:")
	if !ok || !isHex(name) {
		c.say(Wrong, by, "it names %q, which is no digest", d.Digest)
		return
	}
	size, there := c.blobs[name]
	switch {
	case !there:
		c.say(Lost, by, "it needs %s, which is not there", d.Digest)
	case size != d.Size:
		c.say(Wrong, by, "it says that %s has %d bytes, and it has %d", d.Digest, d.Size, size)
	case c.withheld(name):
		c.say(Lost, by, "it needs %s, which is withheld", d.Digest)
	}
	if c.reached[name] = there; there && manifest {
		c.readManifest(by, name, depth)
	}
}

// readManifest follows a manifest, or an index: of the entries of an index those that are here.
func (c *checker) readManifest(by, name string, depth int) {
	raw, err := c.open(name)
	var m struct {
		SchemaVersion int          `json:"schemaVersion"`
		Config        *descriptor  `json:"config"`
		Layers        []descriptor `json:"layers"`
		Manifests     []descriptor `json:"manifests"`
	}
	if err == nil {
		err = json.Unmarshal(raw, &m)
	}
	switch {
	case err != nil:
		c.say(Wrong, by, "the manifest sha256:%s: %v", name, err)
	case m.SchemaVersion != schemaVersion || depth > maxDepth || (m.Config == nil) == (m.Manifests == nil):
		c.say(Wrong, by, "sha256:%s is neither a manifest nor an index", name)
	case m.Config != nil:
		for _, d := range append(m.Layers, *m.Config) {
			c.reach(by, d, false, depth)
		}
	default:
		here := 0
		for _, d := range m.Manifests {
			if _, ok := c.blobs[strings.TrimPrefix(d.Digest, "sha256:")]; ok {
				here++
				c.reach(by, d, true, depth+1)
			}
		}
		if here == 0 {
			c.say(Lost, by, "the index sha256:%s has no entry that is here", name)
		}
	}
}

// open reads a blob where it is, as a reader would find it: among the blobs, or in the trash.
func (c *checker) open(name string) ([]byte, error) {
	raw, err := os.ReadFile(c.at("blobs/sha256/" + name))
	if !os.IsNotExist(err) {
		return raw, err
	}
	for _, e := range c.list("trash", true) {
		if strings.HasPrefix(e.Name(), name+".") {
			return os.ReadFile(c.at("trash/" + e.Name()))
		}
	}
	return nil, err
}
