package main

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"sync"

	"github.com/mattn/go-runewidth"
)

// console is standard error, which the log, the progress and the messages share.
type console struct {
	mu   sync.Mutex
	w    io.Writer
	bars io.Writer // where lines go that belong above the bars; nil while there are none
}

// Write writes whole lines.
func (c *console) Write(lines []byte) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.bars != nil {
		if n, err := c.bars.Write(lines); err == nil {
			return n, nil
		}
	}
	return c.w.Write(lines)
}

// above sends lines to the bars, or with nil to standard error itself again.
func (c *console) above(bars io.Writer) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.bars = bars
}

// cleanJSONWriter makes JSON documents harmless on a terminal.
type cleanJSONWriter struct{ w io.Writer }

func (w cleanJSONWriter) Write(doc []byte) (int, error) {
	_, err := w.w.Write(cleanJSON(doc))
	return len(doc), err
}

// print prints one line of the result as text.
func (p *program) print(format string, args ...any) error {
	_, err := fmt.Fprintf(p.out, format+"\n", args...)
	return err
}

// result prints the result of a command: a JSON document of one line where JSON was asked for, else what text prints.
func (p *program) result(doc any, text func() error) error {
	if !p.json {
		return text()
	}
	enc := json.NewEncoder(cleanJSONWriter{p.out})
	enc.SetEscapeHTML(false)
	return enc.Encode(doc)
}

// table prints rows with their columns under each other. The first row is the head; the columns that right names
// stand at the right.
func (p *program) table(rows [][]string, right ...int) error {
	if len(rows) == 0 {
		return nil
	}
	widths := make([]int, len(rows[0]))
	for _, row := range rows {
		for i, cell := range row {
			widths[i] = max(widths[i], runewidth.StringWidth(cell))
		}
	}
	atRight := make([]bool, len(widths))
	for _, i := range right {
		atRight[i] = true
	}
	var text strings.Builder
	for _, row := range rows {
		var line strings.Builder
		for i, cell := range row {
			pad := strings.Repeat(" ", widths[i]-runewidth.StringWidth(cell))
			if i > 0 {
				line.WriteString("   ")
			}
			if atRight[i] {
				line.WriteString(pad + cell)
			} else {
				line.WriteString(cell + pad)
			}
		}
		text.WriteString(strings.TrimRight(line.String(), " ") + "\n")
	}
	_, err := io.WriteString(p.out, text.String()) // at once: a list can be long
	return err
}
