package main

import (
	"encoding/json"
	"strings"
	"testing"
	"time"
	"unicode/utf8"
)

func TestClean(t *testing.T) {
	for in, want := range map[string]string{
		"":                       "",
		"llama 3":                "llama 3",
		"Ünï 模型 🦙":               "Ünï 模型 🦙",
		"\x1b[31mred\x1b[0m":     `\x1b[31mred\x1b[0m`,
		"a\x1b]0;title\x07b":     `a\x1b]0;title\x07b`,
		"a\u009b31mb":            `a\u009b31mb`,
		"gpj.\u202eexe":          `gpj.\u202eexe`,
		"\u2066a\u2069":          `\u2066a\u2069`,
		"zero\u200bwidth\ufeff":  `zero\u200bwidth\ufeff`,
		"a\nb\tc\rd\x7f":         `a\nb\x09c\x0dd\x7f`,
		"bad \xff\xfe utf8":      `bad \xff\xfe utf8`,
		"line\u2028sep\u2029":    `line\u2028sep\u2029`,
		"tag \U000e0041":         `tag \U000e0041`,
		"half a rune \xe6\xa8":   `half a rune \xe6\xa8`,
		"replacement \ufffd too": "replacement \ufffd too",
	} {
		if got := clean(in); got != want {
			t.Errorf("clean(%q) = %q, want %q", in, got, want)
		}
	}
}

func FuzzClean(f *testing.F) {
	f.Add("a\x1b[31m\u202e\xff")
	f.Fuzz(func(t *testing.T, s string) {
		got := clean(s)
		if !utf8.ValidString(got) || strings.ContainsFunc(got, func(r rune) bool { return !visible(r) }) {
			t.Errorf("clean(%q) = %q", s, got)
		}
		if clean(got) != got {
			t.Errorf("clean(%q) is not clean", s)
		}
		doc, err := json.Marshal(s)
		if err != nil {
			t.Fatal(err)
		}
		safe := cleanJSON(doc)
		if strings.ContainsFunc(string(safe), func(r rune) bool { return !visible(r) }) {
			t.Errorf("cleanJSON(%q) = %q", doc, safe)
		}
		var before, after string
		if err := json.Unmarshal(doc, &before); err != nil {
			t.Fatal(err)
		}
		if err := json.Unmarshal(safe, &after); err != nil || after != before {
			t.Errorf("cleanJSON(%q) = %q, which means %q (%v)", doc, safe, after, err)
		}
	})
}

func TestSentence(t *testing.T) {
	for in, want := range map[string]string{
		"one":                       "one",
		"one\ntwo\n":                "one; two",
		"\n one \n\n\ttwo\r\n":      "one; two",
		"a: 401 \x1b[2J\nWWW\u202e": `a: 401 \x1b[2J; WWW\u202e`,
	} {
		if got := sentence(in); got != want {
			t.Errorf("sentence(%q) = %q, want %q", in, got, want)
		}
	}
}

func TestSizes(t *testing.T) {
	for n, want := range map[int64]string{
		0: "0 B", 1: "1 B", 999: "999 B", 1000: "1.0 kB", 12345: "12.3 kB", 99949: "99.9 kB", 99950: "100 kB",
		999499: "999 kB", 999500: "1.0 MB", 1234567890: "1.2 GB", 266_000_000: "266 MB", 1 << 62: "4.6 EB",
		9223372036854775807: "9.2 EB",
	} {
		if got := size(n); got != want {
			t.Errorf("size(%d) = %q, want %q", n, got, want)
		}
	}
	if got, want := wholeSize(1234567890), "1.2 GB (1234567890 bytes)"; got != want {
		t.Errorf("wholeSize = %q, want %q", got, want)
	}
}

func TestTimes(t *testing.T) {
	for d, want := range map[time.Duration]string{
		0: "0.0 s", 400 * time.Millisecond: "0.4 s", 9940 * time.Millisecond: "9.9 s", 9960 * time.Millisecond: "10 s",
		59400 * time.Millisecond: "59 s", 59600 * time.Millisecond: "1 min 0 s", 185 * time.Second: "3 min 5 s",
		time.Hour: "1 h 0 min", 130 * time.Minute: "2 h 10 min", 50 * time.Hour: "50 h 0 min",
	} {
		if got := span(d); got != want {
			t.Errorf("span(%v) = %q, want %q", d, got, want)
		}
	}
	now := time.Date(2025, 6, 1, 12, 0, 0, 0, time.Local)
	for d, want := range map[time.Duration]string{
		-time.Hour: "just now", 0: "just now", time.Minute: "1 minute ago", 59 * time.Minute: "59 minutes ago",
		time.Hour: "1 hour ago", 47 * time.Hour: "47 hours ago", 48 * time.Hour: "2 days ago", 90 * 24 * time.Hour: "2025-03-03",
	} {
		if got := ago(now.Add(-d), now); got != want {
			t.Errorf("ago(%v) = %q, want %q", d, got, want)
		}
	}
	if got := ago(time.Time{}, now); got != "never" {
		t.Errorf("ago(never) = %q", got)
	}
}

func TestRowsThatAreBroken(t *testing.T) {
	for _, c := range []struct {
		widths []int
		width  int
		want   int
	}{{nil, 80, 0}, {[]int{79, 79}, 80, 2}, {[]int{80}, 80, 1}, {[]int{81}, 80, 2}, {[]int{79, 0, 30}, 40, 4}, {[]int{5}, 0, 5}} {
		if got := shownRows(c.widths, c.width); got != c.want {
			t.Errorf("rows of %v on %d columns = %d, want %d", c.widths, c.width, got, c.want)
		}
	}
}

func TestNearest(t *testing.T) {
	commands := []string{"pull", "push", "import", "export", "list", "ls", "rm", "show", "verify"}
	for typed, want := range map[string]string{
		"plul": "pull", "pul": "pull", "puhs": "push", "exprot": "export", "sow": "show", "verfiy": "verify",
		"frobnicate": "", "": "", "zzz": "", strings.Repeat("pull", 1000): "",
	} {
		if got := nearest(typed, append([]string(nil), commands...)); got != want {
			t.Errorf("nearest(%q) = %q, want %q", typed, got, want)
		}
	}
}
