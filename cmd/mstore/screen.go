package main

import (
	"bytes"
	"fmt"
	"os"
	"strings"

	"github.com/mattn/go-runewidth"
	"golang.org/x/term"
)

// screen draws frames over each other on a terminal, for mpb. Unlike mpb's own it counts the rows of the frame before
// as the terminal shows them now: one that was made narrower has broken them, and would keep pieces of each.
type screen struct {
	bytes.Buffer // what has been written since the last frame
	out          *os.File
	widths       []int // of the rows of the frame that is shown
}

// IsTerminal is always true: a screen is made for one.
func (s *screen) IsTerminal() bool { return true }

// GetTermSize asks the terminal, as its size may change at any time.
func (s *screen) GetTermSize() (width, height int, err error) { return term.GetSize(int(s.out.Fd())) }

// Flush shows what was written, of which the last rows are the frame, in place of the frame before.
func (s *screen) Flush(rows int) error {
	width, _, err := s.GetTermSize()
	if err != nil {
		return err
	}
	text := s.String()
	s.Reset()
	var up string
	if n := shownRows(s.widths, width); n > 0 {
		up = fmt.Sprintf("\x1b[%dA\x1b[J", n)
	}
	lines := strings.Split(strings.TrimSuffix(text, "\n"), "\n")
	s.widths = s.widths[:0]
	for _, line := range lines[max(0, len(lines)-max(rows, 0)):] {
		s.widths = append(s.widths, runewidth.StringWidth(line))
	}
	if up+text == "" {
		return nil
	}
	_, err = s.out.WriteString(up + text)
	return err
}

// shownRows is how many rows of a terminal lines of these widths take.
func shownRows(widths []int, width int) int {
	n, width := 0, max(width, 1)
	for _, w := range widths {
		n += max(1, (w+width-1)/width)
	}
	return n
}
