package main

import (
	"fmt"
	"math"
	"strings"

	"github.com/mattn/go-runewidth"
)

// columnsOf is how a row of the progress is divided on a terminal of some width: name, bar, information.
type columnsOf struct{ name, bar, info int }

// layout divides width characters. Rows stay one short of it, so that no terminal wraps them. On a narrow terminal
// first the bar goes, then the name gets short.
func layout(width int) columnsOf {
	const (
		gaps               = 2
		longInfo, tinyInfo = 27, 15
		minBar, maxBar     = 8, 40
		minName, maxName   = 6, 40
		wide               = 64
	)
	width = max(width-1-gaps, 1)
	l := columnsOf{info: longInfo}
	if width < wide {
		l.info = tinyInfo
	}
	l.name = min(max((width-l.info)*3/5, minName), maxName)
	l.bar = min(width-l.info-l.name, maxBar)
	if l.bar < minBar {
		l.name, l.bar = max(l.name+l.bar, 0), 0
	}
	return l
}

// row is one line of the progress.
func (l columnsOf) row(name string, done, total int64, info string) string {
	width := l.name + 1 + l.bar + 1 + l.info
	line := fit(name, l.name)
	if l.bar > 0 {
		line += " " + bar(done, total, l.bar)
	}
	line += " " + info
	return runewidth.Truncate(strings.TrimRight(line, " "), width, "")
}

// fit makes name exactly n columns wide. Of a long one the folders go first, then the end: what tells the parts of a
// model apart stands before the extension.
func fit(name string, n int) string {
	const cut = ".."
	name = clean(name)
	if runewidth.StringWidth(name) > n {
		name = name[strings.LastIndexByte(name, '/')+1:]
	}
	return runewidth.FillRight(runewidth.Truncate(name, n, cut[:min(len(cut), n)]), n)
}

// bar is a bar of n columns.
func bar(done, total int64, n int) string {
	inside := n - len("[]")
	full := inside
	if total > 0 && done < total {
		full = int(float64(max(done, 0)) / float64(total) * float64(inside))
	}
	tip := ""
	if full < inside {
		tip = ">"
	}
	return "[" + strings.Repeat("=", full) + tip + strings.Repeat(" ", inside-full-len(tip)) + "]"
}

// fileRow is the line of one file.
func fileRow(f fileView, width int) string {
	l := layout(width)
	name := f.name
	if name == "" {
		name = "manifest"
	}
	switch {
	case f.waiting:
		return l.row(name, f.done, f.size, "another process is at it")
	case f.again > 0:
		return l.row(name, f.done, f.size, "trying again in "+span(f.again))
	case f.size < 0:
		return l.row(name, 0, 1, "     "+size(f.done))
	}
	return l.row(name, f.done, f.size, fmt.Sprintf("%3d%% %s", percent(f.done, f.size), size(f.size)))
}

// totalRow is the line of everything together.
func totalRow(v view, label string, width int) string {
	l := layout(width)
	if !v.resolved && v.total == 0 {
		return runewidth.Truncate(clean(label)+" ...", max(width-1, 1), "")
	}
	info := fmt.Sprintf("%3d%%", percent(v.done, v.total))
	speed, left := " "+speedText(v), " "+leftText(v)
	info += first(l.info-len(info), strings.TrimRight(speed, " ")+strings.TrimRight(left, " "), left, speed)
	all := "total " + size(v.total)
	return l.row(first(l.name, all+", "+filesText(v), all, "total"), v.done, v.total, info)
}

// filesText is how many files are whole, of how many where that is known: two files of one content are whole at once,
// and are told once.
func filesText(v view) string {
	if v.count == 0 {
		return fmt.Sprintf("%d done", v.finished)
	}
	return fmt.Sprintf("%d/%d files", min(v.finished, v.count), v.count)
}

// first is the first of texts that has at most n columns, or "".
func first(n int, texts ...string) string {
	for _, text := range texts {
		if len(text) <= n {
			return text
		}
	}
	return ""
}

func speedText(v view) string {
	if v.speed < 1 {
		return ""
	}
	return size(int64(v.speed)) + "/s"
}

func leftText(v view) string {
	if v.left < 0 {
		return ""
	}
	if seconds := int(math.Ceil(v.left.Seconds())); seconds < 60 {
		return fmt.Sprintf("%d s left", seconds)
	}
	return span(v.left) + " left"
}

// plainRow is the line that is printed now and then where there is no terminal.
func plainRow(v view, label string) string {
	if !v.resolved && v.total == 0 {
		return clean(label) + " ..."
	}
	parts := []string{fmt.Sprintf("%d%%", percent(v.done, v.total)), size(v.done) + " of " + size(v.total)}
	for _, field := range []string{speedText(v), leftText(v)} {
		if field != "" {
			parts = append(parts, field)
		}
	}
	return clean(label) + ": " + strings.Join(parts, ", ")
}
