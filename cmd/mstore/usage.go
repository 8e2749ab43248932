package main

import (
	"fmt"
	"strings"

	"github.com/urfave/cli/v2"
)

// operand is one word of a command's ArgsUsage: "REF...", "[FILE]".
type operand struct {
	name     string
	optional bool
	many     bool
}

// operands are what ArgsUsage says a command takes; it is the one place that says it.
func operands(c *cli.Command) []operand {
	var all []operand
	for word := range strings.FieldsSeq(c.ArgsUsage) {
		if word == "--" {
			continue
		}
		var o operand
		o.name, o.optional = strings.CutPrefix(word, "[")
		o.name = strings.TrimSuffix(o.name, "]")
		o.name, o.many = strings.CutSuffix(o.name, "...")
		all = append(all, o)
	}
	return all
}

// checkCount compares the number of arguments with what the command takes.
func checkCount(c *cli.Command, n int) error {
	least, most := 0, 0
	missing := ""
	for _, o := range operands(c) {
		if !o.optional {
			least++
			if n < least && missing == "" {
				missing = o.name
			}
		}
		most++
		if o.many {
			most = n + 1
		}
	}
	hint := fmt.Sprintf("usage: mstore %s %s", c.Name, c.ArgsUsage)
	switch {
	case n < least:
		return &usageError{text: fmt.Sprintf("%s wants a %s", c.Name, missing), hint: hint}
	case n > most && most == 0:
		return &usageError{text: c.Name + " takes no arguments", hint: "usage: mstore " + c.Name}
	case n > most:
		return &usageError{text: fmt.Sprintf("%s takes %s, not %d", c.Name, count(int64(most), "argument"), n), hint: hint}
	}
	return nil
}
