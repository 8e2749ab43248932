package main

import (
	"os"
	"regexp"
	"strconv"
	"strings"

	"github.com/mattn/go-runewidth"
	"github.com/rogpeppe/go-internal/testscript"
)

// frames are what a terminal was shown one after another: the rows between two moves of the cursor. What the kernel
// makes of a line break is undone.
func frames(sent string) [][]string {
	var all [][]string
	for _, frame := range regexp.MustCompile(`\x1b\[\d+A\x1b\[J|\x1b\[J`).Split(strings.ReplaceAll(sent, "\r\n", "\n"), -1) {
		all = append(all, strings.Split(strings.TrimSuffix(frame, "\n"), "\n"))
	}
	return all
}

// barRow is a row of the progress: a name, a bar, and percents where they fit.
var barRow = regexp.MustCompile(`^(.*?) \[([-=]*)>? *\] *(?:(\d+)%)?`)

// steady COLUMNS [FILES] wants the file screen to show progress as it should be: in some frame a total and at least
// FILES files, no row wider than the terminal, and nothing that runs backwards.
func steady(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 1 {
		ts.Fatalf("usage: steady COLUMNS [FILES]")
	}
	columns, err := strconv.Atoi(args[0])
	ts.Check(err)
	files := 0
	if len(args) > 1 {
		files, err = strconv.Atoi(args[1])
		ts.Check(err)
	}
	raw, err := os.ReadFile(ts.MkAbs("screen"))
	ts.Check(err)
	percents, fills := make(map[string]int), make(map[string]int)
	most, totals := 0, 0
	for _, frame := range frames(string(raw)) {
		rows := 0
		for _, row := range frame {
			m := barRow.FindStringSubmatch(row)
			if m == nil {
				continue
			}
			if w := runewidth.StringWidth(row); w >= columns {
				ts.Fatalf("on %d columns a row has %d: %q", columns, w, row)
			}
			name := strings.Fields(m[1])[0]
			if name == "total" {
				totals++
			} else {
				rows++
			}
			forward(ts, fills, name, len(m[2]), row)
			if m[3] != "" {
				percent, _ := strconv.Atoi(m[3])
				forward(ts, percents, name, percent, row)
			}
		}
		most = max(most, rows)
	}
	if totals == 0 || most < files {
		ts.Fatalf("%d rows of a total, and %d files at once, want %d", totals, most, files)
	}
}

// forward wants what a name says not to be less than before.
func forward(ts *testscript.TestScript, before map[string]int, name string, now int, row string) {
	if now < before[name] {
		ts.Fatalf("%d after %d: %q", now, before[name], row)
	}
	before[name] = now
}
