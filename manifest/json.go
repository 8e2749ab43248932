package manifest

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"
)

// maxNesting bounds how deep JSON values may lie in one another. A manifest needs 4.
const maxNesting = 64

// reader reads one JSON document in one pass, and takes only what every parser reads alike: keys once in an object,
// valid UTF-8, no lone surrogates, nothing behind the document. encoding/json would let the last of two keys win,
// match keys whatever their case, and put U+FFFD where text is broken.
//
// The first fault sticks: after it every method returns a zero value, and err says what and where.
type reader struct {
	s     string
	at    int
	depth int
	err   error
}

func newReader(raw []byte) *reader {
	r := &reader{s: string(raw)}
	if !utf8.ValidString(r.s) {
		r.fail("not UTF-8")
	}
	return r
}

// fail records the first fault.
func (r *reader) fail(format string, args ...any) {
	if r.err == nil {
		r.err = fmt.Errorf("%w: %s (at byte %d)", ErrMalformed, fmt.Sprintf(format, args...), r.at)
	}
}

// peek skips white space and is the next byte; 0 at the end and after a fault.
func (r *reader) peek() byte {
	if r.err != nil {
		return 0
	}
	for ; r.at < len(r.s); r.at++ {
		switch c := r.s[r.at]; c {
		case ' ', '\t', '\n', '\r':
		default:
			return c
		}
	}
	return 0
}

// take skips the byte c, when it is next.
func (r *reader) take(c byte) bool {
	if r.peek() != c || c == 0 {
		return false
	}
	r.at++
	return true
}

// want skips the byte c or fails.
func (r *reader) want(c byte) {
	if !r.take(c) {
		r.fail("not JSON: want %q", c)
	}
}

// end fails unless the document is over.
func (r *reader) end() error {
	if r.peek(); r.err == nil && r.at < len(r.s) {
		r.fail("something follows the document")
	}
	return r.err
}

// object reads an object. member is called for each key and must read the key's value.
func (r *reader) object(member func(key string)) {
	r.want('{')
	var seen keySet
	for first := true; r.more('}', first); first = false {
		key := r.text()
		r.want(':')
		if r.err == nil && !seen.add(key) {
			r.fail("the key %q is there twice", clip(key))
		}
		if r.err == nil {
			member(key)
		}
	}
}

// array reads an array. element is called at each element and must read it.
func (r *reader) array(element func()) {
	r.want('[')
	for first := true; r.more(']', first); first = false {
		element()
	}
}

// more stands before each element of an object or array: it skips the comma, or the closing byte.
func (r *reader) more(closing byte, first bool) bool {
	if first {
		if r.depth++; r.depth > maxNesting {
			r.fail("nested deeper than %d", maxNesting)
		}
	}
	if r.take(closing) {
		r.depth--
		return false
	}
	if !first {
		r.want(',')
	}
	return r.err == nil
}

// null skips the literal null, when it is next.
func (r *reader) null() bool { return r.peek() == 'n' && r.literal("null") }

func (r *reader) literal(word string) bool {
	if !strings.HasPrefix(r.s[r.at:], word) {
		r.fail("not JSON")
		return false
	}
	r.at += len(word)
	return true
}

// skip reads a value that means nothing here.
func (r *reader) skip() {
	switch c := r.peek(); c {
	case '{':
		r.object(func(string) { r.skip() })
	case '[':
		r.array(r.skip)
	case '"':
		r.text()
	case 't':
		r.literal("true")
	case 'f':
		r.literal("false")
	case 'n':
		r.literal("null")
	default:
		r.number()
	}
}

// integer reads a number that is a whole one as written and fits 64 bits.
func (r *reader) integer() int64 {
	s := r.number()
	n, err := strconv.ParseInt(s, 10, 64)
	if err != nil {
		r.fail("%q is not a whole number of 64 bits", clip(s))
	}
	return n
}

// number reads a number and is its text.
func (r *reader) number() string {
	r.peek()
	start := r.at
	if r.err == nil && r.at < len(r.s) && r.s[r.at] == '-' {
		r.at++
	}
	if whole := r.digits(); whole == "" || len(whole) > 1 && whole[0] == '0' {
		r.fail("not JSON: want a value")
		return ""
	}
	if r.at < len(r.s) && r.s[r.at] == '.' {
		r.at++
		r.someDigits()
	}
	if r.at < len(r.s) && r.s[r.at]|0x20 == 'e' {
		if r.at++; r.at < len(r.s) && (r.s[r.at] == '+' || r.s[r.at] == '-') {
			r.at++
		}
		r.someDigits()
	}
	return r.s[start:r.at]
}

func (r *reader) digits() string {
	start := r.at
	for r.err == nil && r.at < len(r.s) && r.s[r.at]-'0' <= 9 {
		r.at++
	}
	return r.s[start:r.at]
}

func (r *reader) someDigits() {
	if r.digits() == "" {
		r.fail("not JSON: want a digit")
	}
}

// keySet knows the keys of one object. Objects have few: those are compared one by one, without a map.
type keySet struct {
	few  [12]string
	n    int
	many map[string]struct{}
}

// add tells whether key was new.
func (k *keySet) add(key string) bool {
	if slices.Contains(k.few[:k.n], key) {
		return false
	}
	if k.n < len(k.few) {
		k.few[k.n] = key
		k.n++
		return true
	}
	if _, had := k.many[key]; had {
		return false
	}
	if k.many == nil {
		k.many = make(map[string]struct{})
	}
	k.many[key] = struct{}{}
	return true
}

// clip keeps an error about a hostile string short.
func clip(s string) string {
	const most = 100
	if len(s) <= most {
		return s
	}
	return s[:most] + "..."
}
