package main

import (
	"fmt"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
)

// clean makes text from outside fit for a terminal and for one line of it: control, bidi and other invisible
// characters and bytes that are not UTF-8 become visible escapes, as in Go string literals. Text without them comes
// back as it is.
func clean(s string) string {
	if isClean(s) {
		return s
	}
	var b strings.Builder
	for i := 0; i < len(s); {
		r, n := utf8.DecodeRuneInString(s[i:])
		switch {
		case r == utf8.RuneError && n == 1:
			fmt.Fprintf(&b, `\x%02x`, s[i])
		case visible(r):
			b.WriteRune(r)
		case r == '\n':
			b.WriteString(`\n`)
		case r < utf8.RuneSelf:
			fmt.Fprintf(&b, `\x%02x`, r)
		case r <= 0xffff:
			fmt.Fprintf(&b, `\u%04x`, r)
		default:
			fmt.Fprintf(&b, `\U%08x`, r)
		}
		i += n
	}
	return b.String()
}

func isClean(s string) bool {
	for _, r := range s {
		if !visible(r) {
			return false
		}
	}
	return utf8.ValidString(s)
}

// visible tells whether a character shows as itself and leaves the others where they are. The replacement character
// is visible: it is what a terminal shows for bytes that are none.
func visible(r rune) bool { return unicode.IsGraphic(r) }

// sentence is the text of an error as one clean line: what was joined by line breaks is joined by semicolons.
func sentence(text string) string {
	var parts []string
	for line := range strings.Lines(text) {
		if line = strings.TrimSpace(line); line != "" {
			parts = append(parts, line)
		}
	}
	return clean(strings.Join(parts, "; "))
}

// cleanJSON replaces the characters that clean replaces by JSON's own escapes, so that a document means the same and
// is harmless on a terminal. In a document they can only stand inside strings.
func cleanJSON(doc []byte) []byte {
	out := make([]byte, 0, len(doc))
	for i := 0; i < len(doc); {
		r, n := utf8.DecodeRune(doc[i:])
		switch {
		case visible(r) || r == '\n':
			out = append(out, doc[i:i+n]...)
		case r > 0xffff:
			high, low := surrogates(r)
			out = fmt.Appendf(out, `\u%04x\u%04x`, high, low)
		default:
			out = fmt.Appendf(out, `\u%04x`, r)
		}
		i += n
	}
	return out
}

// surrogates are the two halves of a character beyond U+FFFF in UTF-16.
func surrogates(r rune) (high, low rune) {
	const base, first, second, bits, mask = 0x10000, 0xd800, 0xdc00, 10, 0x3ff
	r -= base
	return first + r>>bits, second + r&mask
}

// size is a number of bytes as a person reads it, in powers of 1000: "657 B", "12.3 kB", "1.2 GB".
func size(n int64) string {
	const units = "kMGTPE"
	if n < 1000 {
		return fmt.Sprintf("%d B", n)
	}
	value, unit := float64(n)/1000, 0
	for value >= 999.5 && unit < len(units)-1 {
		value, unit = value/1000, unit+1
	}
	if value < 99.95 {
		return fmt.Sprintf("%.1f %cB", value, units[unit])
	}
	return fmt.Sprintf("%.0f %cB", value, units[unit])
}

// wholeSize is size with the bytes to the last.
func wholeSize(n int64) string {
	if n < 1000 {
		return size(n)
	}
	return fmt.Sprintf("%s (%d bytes)", size(n), n)
}

// span is a duration as a person reads it: "0.4 s", "12 s", "3 min 5 s", "2 h 10 min".
func span(d time.Duration) string {
	const short = 10 * time.Second
	switch {
	case d < short-50*time.Millisecond:
		return fmt.Sprintf("%.1f s", d.Seconds())
	case d < time.Minute-time.Second/2:
		return fmt.Sprintf("%.0f s", d.Seconds())
	case d < time.Hour-time.Second/2:
		d = d.Round(time.Second)
		return fmt.Sprintf("%d min %d s", d/time.Minute, d%time.Minute/time.Second)
	default:
		d = d.Round(time.Minute)
		return fmt.Sprintf("%d h %d min", d/time.Hour, d%time.Hour/time.Minute)
	}
}

// ago says how long before now t was, as docker does.
func ago(t, now time.Time) string {
	if t.IsZero() {
		return "never"
	}
	const day = 24 * time.Hour
	d := now.Sub(t)
	switch {
	case d < time.Minute:
		return "just now"
	case d < time.Hour:
		return count(int64(d/time.Minute), "minute") + " ago"
	case d < 2*day:
		return count(int64(d/time.Hour), "hour") + " ago"
	case d < 60*day:
		return count(int64(d/day), "day") + " ago"
	default:
		return t.Local().Format(time.DateOnly)
	}
}

// count is a number of things: "1 blob", "3 blobs".
func count(n int64, thing string) string {
	if n == 1 {
		return "1 " + thing
	}
	return fmt.Sprintf("%d %ss", n, thing)
}

// moved says what a transfer did: "fetched 266 MB in 3.2 s (83 MB/s), 10 MB were there".
func moved(done string, n, there int64, took time.Duration) string {
	text := fmt.Sprintf("%s %s in %s", done, size(n), span(took))
	if took > 0 && n > 0 {
		text += fmt.Sprintf(" (%s/s)", size(int64(float64(n)/took.Seconds())))
	}
	if there > 0 {
		text += fmt.Sprintf(", %s were there", size(there))
	}
	return text
}
