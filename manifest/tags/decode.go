package tags

import (
	"encoding/json"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/opencontainers/go-digest"
)

// encode is the content of a tag's file: JSON on one line.
func encode(tag Tag) ([]byte, error) {
	data, err := json.Marshal(tag)
	return append(data, '\n'), err
}

// decode reads what encode wrote, or any JSON that says the same. What encode usually writes is read without
// encoding/json, which would take more time than opening and reading the file: List reads ten thousand.
func decode(data []byte) (Tag, error) {
	if tag, ok := decodeUsual(string(data)); ok {
		return tag, nil
	}
	var tag Tag
	err := json.Unmarshal(data, &tag)
	return tag, err
}

// decodeUsual is decode for the very form that encode gives a tag whose texts need no escapes. ok is false for
// everything else.
func decodeUsual(s string) (tag Tag, ok bool) {
	c := cursor{rest: s, ok: utf8.ValidString(s)}
	c.want(`{"name":`)
	tag.Name = c.text()
	c.want(`,"descriptor":{"mediaType":`)
	tag.Descriptor.MediaType = c.text()
	c.want(`,"digest":`)
	tag.Descriptor.Digest = digest.Digest(c.text())
	c.want(`,"size":`)
	tag.Descriptor.Size = c.number()
	c.want(`},"bytes":`)
	tag.Bytes = c.number()
	c.want(`,"files":`)
	tag.Files = int(c.number())
	if c.has(`,"kind":`) {
		tag.Kind = c.text()
	}
	if c.has(`,"source":{`) {
		tag.Source = c.source()
	}
	c.want(`,"created":"`)
	at, rest, found := strings.Cut(c.rest, "\"}\n")
	created, err := time.Parse(time.RFC3339Nano, at)
	tag.Created = created
	return tag, c.ok && found && err == nil && rest == ""
}

// source reads the fields of a Source, up to the brace behind them.
func (c *cursor) source() (s Source) {
	comma := ""
	field := func(name string) bool {
		if !c.has(comma + name) {
			return false
		}
		comma = ","
		return true
	}
	if field(`"reference":`) {
		s.Reference = c.text()
	}
	if field(`"digest":`) {
		s.Digest = digest.Digest(c.text())
	}
	if field(`"platform":`) {
		s.Platform = c.text()
	}
	s.PlainHTTP = field(`"plainHTTP":true`)
	if field(`"revision":`) {
		s.Revision = c.text()
	}
	if field(`"validator":`) {
		s.Validator = c.text()
	}
	c.want(`}`)
	return s
}

// cursor walks through text. Once something is not as wanted, ok stays false.
type cursor struct {
	rest string
	ok   bool
}

func (c *cursor) has(prefix string) (had bool) {
	c.rest, had = strings.CutPrefix(c.rest, prefix)
	return had
}

func (c *cursor) want(prefix string) { c.ok = c.has(prefix) && c.ok }

// text reads a string that has no escapes.
func (c *cursor) text() string {
	c.want(`"`)
	for i := range len(c.rest) {
		switch b := c.rest[i]; {
		case b == '"':
			s := c.rest[:i]
			c.rest = c.rest[i+1:]
			return s
		case b == '\\' || b < ' ':
			c.ok = false
			return ""
		}
	}
	c.ok = false
	return ""
}

// number reads a whole number as encoding/json writes it.
func (c *cursor) number() int64 {
	end := strings.IndexAny(c.rest, ",}")
	if end < 0 {
		c.ok = false
		return 0
	}
	n, err := strconv.ParseInt(c.rest[:end], 10, 64)
	c.ok = c.ok && err == nil && strconv.FormatInt(n, 10) == c.rest[:end]
	c.rest = c.rest[end:]
	return n
}
