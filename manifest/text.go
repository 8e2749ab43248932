package manifest

import (
	"strconv"
	"strings"
	"unicode/utf16"
	"unicode/utf8"
)

// text reads a string. One without escapes, as nearly all are, shares the memory of the document.
func (r *reader) text() string {
	r.want('"')
	for i := r.at; r.err == nil && i < len(r.s); i++ {
		switch c := r.s[i]; {
		case c == '"':
			s := r.s[r.at:i]
			r.at = i + 1
			return s
		case c == '\\':
			return r.escaped()
		case c < ' ':
			r.at = i
			r.fail("not JSON: a control character in a string")
		}
	}
	r.fail("not JSON: a string without end")
	return ""
}

// escaped is text for the rest of a string that has escapes.
func (r *reader) escaped() string {
	var b strings.Builder
	for r.err == nil && r.at < len(r.s) {
		c := r.s[r.at]
		r.at++
		switch {
		case c == '"':
			return b.String()
		case c == '\\':
			b.WriteRune(r.escape())
		case c < ' ':
			r.fail("not JSON: a control character in a string")
		default:
			b.WriteByte(c)
		}
	}
	r.fail("not JSON: a string without end")
	return ""
}

// escape reads what follows a backslash.
func (r *reader) escape() rune {
	const plain, means = `"\/bfnrt`, "\"\\/\b\f\n\r\t"
	if r.at >= len(r.s) {
		return 0
	}
	c := r.s[r.at]
	r.at++
	if i := strings.IndexByte(plain, c); i >= 0 {
		return rune(means[i])
	}
	if c != 'u' {
		r.fail("not JSON: an unknown escape")
		return 0
	}
	code := r.hex4()
	if !utf16.IsSurrogate(code) {
		return code
	}
	if !strings.HasPrefix(r.s[r.at:], `\u`) {
		r.fail("half a surrogate pair")
		return 0
	}
	r.at += 2
	if code = utf16.DecodeRune(code, r.hex4()); code == utf8.RuneError {
		r.fail("half a surrogate pair")
	}
	return code
}

func (r *reader) hex4() rune {
	const digits = 4
	if len(r.s)-r.at < digits || strings.Trim(r.s[r.at:r.at+digits], "0123456789abcdefABCDEF") != "" {
		r.fail(`not JSON: \u wants four hexadecimal digits`)
		return 0
	}
	n, err := strconv.ParseUint(r.s[r.at:r.at+digits], 16, 32)
	if err != nil {
		r.fail("not JSON: %v", err)
	}
	r.at += digits
	return rune(n)
}
