package main

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/urfave/cli/v2"
)

// line is a command line that was understood: flags may stand anywhere in it, and are put where cli wants them.
type line struct {
	command *cli.Command // nil when none was named
	flags   []string     // "--name=value", in the order in which they were typed
	args    []string     // the command's arguments
	help    bool
	version bool

	grammar *grammar
}

// grammar is what the words of a command line can be.
type grammar struct {
	commands []*cli.Command
	global   map[string]cli.Flag
	flags    map[string]cli.Flag // of all commands: a name takes a value everywhere, or nowhere
}

func newGrammar(app *cli.App) *grammar {
	g := &grammar{commands: app.Commands, global: make(map[string]cli.Flag), flags: make(map[string]cli.Flag)}
	for _, f := range app.Flags {
		addFlag(g.global, f)
	}
	for _, c := range app.Commands {
		for _, f := range c.Flags {
			addFlag(g.flags, f)
		}
	}
	return g
}

func addFlag(to map[string]cli.Flag, f cli.Flag) {
	for _, name := range f.Names() {
		to[name] = f
	}
}

// command finds a command by its name or an alias.
func (g *grammar) command(name string) *cli.Command {
	for _, c := range g.commands {
		if c.HasName(name) {
			return c
		}
	}
	return nil
}

// parse reads the words after the program's name. "--" ends the flags; "-" alone and negative numbers are arguments;
// of a command that runs another one, everything after its first argument and the next is left as it is.
// The error is a usage error.
func (g *grammar) parse(words []string) (*line, error) {
	l := &line{grammar: g}
	err := l.read(words)
	if l.help || l.version { // whoever asks for help gets it, whatever else is wrong
		return l, nil
	}
	if err == nil {
		err = l.checkFlags()
	}
	if err != nil {
		return nil, err
	}
	return l, nil
}

func (l *line) read(words []string) error {
	var first error
	keep := func(err error) {
		if first == nil {
			first = err
		}
	}
	for i := 0; i < len(words); i++ {
		word := words[i]
		switch {
		case word == "--":
			for _, arg := range words[i+1:] {
				keep(l.argument(arg))
			}
			return first
		case isFlag(word):
			taken, err := l.flag(word, words[i+1:])
			keep(err)
			i += taken
		case l.passesOn():
			l.args = append(l.args, words[i:]...)
			return first
		default:
			keep(l.argument(word))
		}
	}
	return first
}

// isFlag tells a flag from an argument.
func isFlag(word string) bool {
	if len(word) < 2 || word[0] != '-' {
		return false
	}
	number := word[1:]
	if number[0] == '.' {
		number = number[1:]
	}
	return number == "" || number[0] < '0' || number[0] > '9'
}

// passesOn tells whether all that follows belongs to the command that exec runs.
func (l *line) passesOn() bool {
	return l.command != nil && l.command.Name == execName && len(l.args) > 0
}

func (l *line) argument(word string) error {
	if l.command != nil {
		l.args = append(l.args, word)
		return nil
	}
	l.command = l.grammar.command(word)
	if l.command == nil {
		return l.grammar.unknownCommand(word)
	}
	return nil
}

// flag takes one flag, and tells how many of the words that follow are its value.
func (l *line) flag(word string, rest []string) (taken int, err error) {
	name, value, given := strings.Cut(strings.TrimPrefix(strings.TrimPrefix(word, "-"), "-"), "=")
	f := l.find(name)
	if f == nil {
		return 0, l.unknownFlag(word)
	}
	if isSwitch(f) {
		on, err := switchValue(name, value, given)
		switch f.Names()[0] {
		case helpName:
			l.help = l.help || on
		case versionName:
			l.version = l.version || on
		default:
			l.flags = append(l.flags, "--"+f.Names()[0]+"="+strconv.FormatBool(on))
		}
		return 0, err
	}
	if !given && len(rest) > 0 {
		value, given, taken = rest[0], true, 1
	}
	if err := checkValue(f, value, given); err != nil {
		return taken, err
	}
	l.flags = append(l.flags, "--"+f.Names()[0]+"="+value)
	return taken, nil
}

// find is the flag of that name: the command's, a global one, or, so that its value is not taken for an argument, that
// of another command.
func (l *line) find(name string) cli.Flag {
	if f, ok := l.grammar.global[name]; ok {
		return f
	}
	return l.grammar.flags[name]
}

func isSwitch(f cli.Flag) bool {
	_, ok := f.(*cli.BoolFlag)
	return ok
}

func switchValue(name, value string, given bool) (bool, error) {
	if !given {
		return true, nil
	}
	on, err := strconv.ParseBool(value)
	if err != nil {
		return false, usagef("--%s is on or off and takes no value, not %q", name, value)
	}
	return on, nil
}

// checkFlags finds flags that another command has, and this one has not.
func (l *line) checkFlags() error {
	if l.command == nil {
		return nil
	}
	for _, word := range l.flags {
		name, _, _ := strings.Cut(strings.TrimPrefix(word, "--"), "=")
		if l.grammar.global[name] == nil && !hasFlag(l.command, name) {
			return l.unknownFlag("--" + name)
		}
	}
	return nil
}

func hasFlag(c *cli.Command, name string) bool {
	return slices.ContainsFunc(c.Flags, func(f cli.Flag) bool { return slices.Contains(f.Names(), name) })
}

// value is what the line gives a flag, the last time it does; empty when it does not.
func (l *line) value(name string) string {
	for _, word := range slices.Backward(l.flags) {
		if value, ok := strings.CutPrefix(word, "--"+name+"="); ok {
			return value
		}
	}
	return ""
}

// argv is the line as cli reads it: global flags, command, its flags, "--", its arguments.
func (l *line) argv(program string) []string {
	out, own := []string{program}, []string{}
	for _, word := range l.flags {
		name, _, _ := strings.Cut(strings.TrimPrefix(word, "--"), "=")
		if hasFlag(l.command, name) {
			own = append(own, word)
		} else {
			out = append(out, word)
		}
	}
	out = append(append(out, l.command.Name), own...)
	return append(append(out, "--"), l.args...)
}

func (g *grammar) unknownCommand(name string) error {
	var names []string
	for _, c := range g.commands {
		names = append(names, c.Names()...)
	}
	err := &usageError{text: fmt.Sprintf("%q is no command of mstore", name), hint: "`mstore help` lists the commands"}
	if near := nearest(name, names); near != "" {
		err.hint = fmt.Sprintf("did you mean `mstore %s`?", near)
	}
	return err
}

// unknownFlag names the nearest flag that the command has.
func (l *line) unknownFlag(word string) error {
	word, _, _ = strings.Cut(word, "=")
	var names []string
	for name := range l.grammar.global {
		names = append(names, name)
	}
	of := "mstore"
	if l.command != nil {
		of += " " + l.command.Name
		for _, f := range l.command.Flags {
			names = append(names, f.Names()...)
		}
	} else {
		for name := range l.grammar.flags {
			names = append(names, name)
		}
	}
	err := &usageError{text: of + " has no flag " + word, hint: fmt.Sprintf("`%s --help` lists the flags", of)}
	if near := nearest(strings.TrimLeft(word, "-"), names); near != "" {
		err.hint = "did you mean " + dashed(near) + "?"
	}
	return err
}

func dashed(name string) string {
	if len(name) == 1 {
		return "-" + name
	}
	return "--" + name
}
