package main

import (
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/mstore/mstore"
	"github.com/mstore/mstore/gc"
	"github.com/mstore/mstore/manifest/tags"
	"github.com/mstore/mstore/stats"
)

// TestExposition holds the output to the grammar of Prometheus' text format: each metric has its HELP and TYPE before its
// samples, once, and a label's value is escaped.
func TestExposition(t *testing.T) {
	text := exposition(&mstore.Stats{
		Models: []gc.Weight{{Tag: tags.Tag{Name: `a"b\c` + "\n", LastUsed: time.Unix(1, 0)}, Bytes: 5}}, TotalSpace: 1 << 60, Used: 12345678901,
		Acts: stats.Sum{Pulls: map[string]int64{"ok": 3, "not found": 1}, Fetched: 1 << 40},
	})
	sample := regexp.MustCompile(`^([a-z_]+)(\{[a-z_]+="(?:[^"\\\n]|\\["\\n])*"\})? [0-9.e+]+$`)
	head := regexp.MustCompile(`^# (HELP|TYPE) ([a-z_]+) (.+)$`)
	seen, kinds := make(map[string]int), make(map[string]string)
	var now string
	for line := range strings.Lines(text) {
		line = strings.TrimSuffix(line, "\n")
		if h := head.FindStringSubmatch(line); h != nil {
			now = h[2]
			seen[h[1]+now]++
			if h[1] == "TYPE" {
				kinds[now] = h[3]
			}
			continue
		}
		s := sample.FindStringSubmatch(line)
		if s == nil || s[1] != now || !strings.HasPrefix(now, "mstore_") {
			t.Errorf("%q after the head of %q", line, now)
		}
	}
	for name, n := range seen {
		if n != 1 {
			t.Errorf("%s: %d times", name, n)
		}
	}
	for name, kind := range kinds {
		if (kind == "counter") != strings.HasSuffix(name, "_total") {
			t.Errorf("%s is a %s", name, kind)
		}
	}
	for _, want := range []string{
		`mstore_model_bytes{model="a\"b\\c\n"} 5`, `mstore_pulls_total{outcome="not found"} 1`, "mstore_used_bytes 1.2345678901e+10",
	} {
		if !strings.Contains(text, want+"\n") {
			t.Errorf("%s is missing", want)
		}
	}
}
