package main

import (
	"cmp"
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/mattn/go-runewidth"

	"github.com/mstore/mstore/blobstore"
	"github.com/mstore/mstore/fetch/tally"
	"github.com/mstore/mstore/fetch/transfer"
)

// columnsOf is how a row of the progress is divided on a terminal of some width: name, bar, information.
type columnsOf struct{ name, bar, info int }

// layout divides width characters. Rows stay one short of it, so that no terminal wraps them. On a narrow terminal
// first the bar goes, then the name gets short.
func layout(width int) columnsOf {
	const (
		gaps               = 2
		longInfo, tinyInfo = 29, 15
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
func (l columnsOf) row(name string, how filling, info string) string {
	width := l.name + 1 + l.bar + 1 + l.info
	line := fit(name, l.name)
	if l.bar > 0 {
		line += " " + how.bar(l.bar)
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

// filling is how far a bar is filled: parts of the whole, from 0 to 1.
type filling struct{ reused, done float64 }

// fillingOf is that of bytes. Of nothing, everything is done.
func fillingOf(reused, done, total int64) filling {
	if total <= 0 || done >= total {
		return filling{float64(reused) / float64(max(total, reused, 1)), 1}
	}
	return filling{float64(reused) / float64(total), float64(done) / float64(total)}
}

// bar is a bar of n columns: what was here before is thin, what moved is thick.
func (f filling) bar(n int) string {
	inside := n - len("[]")
	full := min(int(f.done*float64(inside)), inside)
	thin := min(int(f.reused*float64(inside)), full)
	tip := ""
	if full < inside {
		tip = ">"
	}
	return "[" + strings.Repeat("-", thin) + strings.Repeat("=", full-thin) + tip + strings.Repeat(" ", inside-full-len(tip)) + "]"
}

// percent is how much of the bytes are done, rounded down: 100 is said when all are. Of nothing, everything is done.
func percent(done, total int64) int {
	const all = 100
	if total <= 0 || done >= total {
		return all
	}
	return int(float64(done) / float64(total) * all)
}

// shown are the files that have been in flight for long enough to be looked at, at most n.
func shown(files []tally.File, n int) []tally.File {
	const flash = 200 * time.Millisecond
	files = slices.DeleteFunc(slices.Clone(files), func(f tally.File) bool { return f.Age < flash })
	return files[:min(n, len(files))]
}

// fileRow is the line of one file, which names its model where there are several.
func fileRow(f tally.File, several bool, width int) string {
	l := layout(width)
	name := cmp.Or(f.Path, "manifest")
	if several {
		name = f.Model[strings.LastIndexByte(f.Model, '/')+1:] + "/" + name
	}
	how := fillingOf(f.Reused, f.Done, f.Size)
	if f.Size < 0 { // nobody knows how far it is
		how = filling{}
	}
	return l.row(name, how, first(l.info, fileInfo(f)...))
}

// fileInfo is what there is to say of a file, the best first: the first that fits is said.
func fileInfo(f tally.File) []string {
	const news = 4 * time.Second
	far := fmt.Sprintf("%3d%%", percent(f.Done, f.Size))
	if f.Size < 0 {
		far = "    "
	}
	plain := far + " " + size(max(f.Size, f.Done))
	switch {
	case f.Waiting:
		return []string{far + " by another process", far + " by another", far}
	case f.Retrying:
		return retryInfo(f)
	case f.TakenOver && f.Moving < news:
		return []string{far + ", taken over at " + size(f.Reused), far + " taken over", far}
	case f.Reused > 0 && f.Moving < news:
		return []string{plain + ", " + size(f.Reused) + " resumed", far + ", " + size(f.Reused) + " resumed", "resumed " + size(f.Reused), plain}
	case f.Reused > 0:
		return []string{plain + ", " + size(f.Reused) + " resumed", plain}
	}
	return []string{plain}
}

// retryInfo says which try comes when, and why.
func retryInfo(f tally.File) []string {
	retry := fmt.Sprintf("retry %d", max(f.Attempt, 1))
	why := ": " + reason(f.Err)
	if f.Again <= 0 {
		return []string{retry + why, retry}
	}
	wait := " in " + seconds(f.Again)
	return []string{retry + wait + why, retry + wait, "retry" + wait, retry}
}

// reason is why a try failed, in a word or two.
func reason(err error) string {
	var timeout interface{ Timeout() bool }
	if status, ok := errors.AsType[*transfer.StatusError](err); ok {
		return strconv.Itoa(status.Status)
	}
	switch {
	case errors.Is(err, blobstore.ErrMismatch):
		return "wrong bytes"
	case errors.As(err, &timeout) && timeout.Timeout():
		return "timed out"
	case errors.Is(err, transfer.ErrRange):
		return "wrong range"
	case errors.Is(err, syscall.ECONNREFUSED):
		return "refused"
	case errors.Is(err, transfer.ErrInterrupted), errors.Is(err, syscall.ECONNRESET):
		return "broke off"
	default:
		return "failed"
	}
}

// totalRow is the line of everything together.
func totalRow(s tally.State, label string, width int) string {
	l := layout(width)
	if s.Models == 0 && s.Total == 0 {
		return runewidth.Truncate(clean(label)+" ...", max(width-1, 1), "")
	}
	info := fmt.Sprintf("%3d%%", partPercent(s.Part))
	speed, left := " "+speedText(s), " "+leftText(s)
	info += first(l.info-len(info), strings.TrimRight(speed, " ")+strings.TrimRight(left, " "), left, speed)
	all := "total " + size(s.Total)
	how := filling{done: s.Part}
	if s.Done > 0 {
		how.reused = s.Part * float64(s.Reused) / float64(s.Done)
	}
	return l.row(first(l.name, all+", "+filesText(s), all, "total"), how, info)
}

// partPercent is percent of a part of the whole.
func partPercent(part float64) int {
	const all, nothing = 100, 1e-9 // what a float loses
	if part >= 1 {
		return all
	}
	return min(int(part*all+nothing), all-1)
}

// filesText is how many files are whole, of how many where that is known: two files of one content are whole at once,
// and are told once.
func filesText(s tally.State) string {
	if s.Files == 0 {
		return fmt.Sprintf("%d done", s.Finished)
	}
	return fmt.Sprintf("%d/%d files", min(s.Finished, s.Files), s.Files)
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

func speedText(s tally.State) string {
	if s.Speed < 1 {
		return ""
	}
	return size(int64(s.Speed)) + "/s"
}

func leftText(s tally.State) string {
	if s.Left < 0 {
		return ""
	}
	return seconds(s.Left) + " left"
}

// seconds is span in whole seconds, rounded up.
func seconds(d time.Duration) string {
	if n := int(math.Ceil(d.Seconds())); n < 60 {
		return fmt.Sprintf("%d s", n)
	}
	return span(d)
}

// plainRow is the line that is printed now and then where there is no terminal.
func plainRow(s tally.State, label string) string {
	if s.Models == 0 && s.Total == 0 {
		return clean(label) + " ..."
	}
	parts := []string{fmt.Sprintf("%d%%", partPercent(s.Part)), size(s.Done) + " of " + size(s.Total)}
	for _, field := range []string{speedText(s), leftText(s)} {
		if field != "" {
			parts = append(parts, field)
		}
	}
	if s.Reused > 0 {
		parts = append(parts, size(s.Reused)+" were there")
	}
	if s.Waiting > 0 {
		parts = append(parts, count(int64(s.Waiting), "file")+" by another process")
	}
	return clean(label) + ": " + strings.Join(parts, ", ")
}
