package main

import (
	"context"
	_ "embed" // the scripts
	"slices"
	"strings"

	"github.com/urfave/cli/v2"

	"github.com/mstore/mstore"
)

// The scripts only ask: what fits is decided by the hidden command wordsName, so that they never lag behind.
var (
	//go:embed completion/mstore.bash
	bashScript string
	//go:embed completion/mstore.zsh
	zshScript string
	//go:embed completion/mstore.fish
	fishScript string
)

// wordsName is the command that the completion scripts call with the words of the line so far.
const wordsName = "__complete"

func (p *program) completionCommand() *cli.Command {
	return &cli.Command{
		Name: "completion", Usage: "print a script that completes mstore's commands, flags and models", ArgsUsage: "SHELL",
		Description: `SHELL is bash, zsh or fish. In bash:  source <(mstore completion bash)`,
		Action: p.action(func(_ context.Context, c *cli.Context) error {
			switch shell := c.Args().First(); shell {
			case "bash":
				return p.print("%s", bashScript)
			case "zsh":
				return p.print("%s", zshScript)
			case "fish":
				return p.print("%s", fishScript)
			default:
				return oneOf("SHELL", shell, shells()...)
			}
		}),
	}
}

// beginnings are those of references that have one.
func beginnings() []string {
	return []string{"hf://", "hf.co/", "ollama://", "https://", "oci://", "oci-layout:", "file:"}
}

func shells() []string { return []string{"bash", "zsh", "fish"} }

func (p *program) wordsCommand() *cli.Command {
	return &cli.Command{
		Name: wordsName, Usage: "print what may come next", ArgsUsage: "[WORD...]", Hidden: true,
		Action: p.action(func(ctx context.Context, c *cli.Context) error {
			words := c.Args().Slice()
			if len(words) == 0 {
				words = []string{""}
			}
			models := func(store string) []string { return p.modelNames(ctx, c, store) }
			for _, w := range complete(newGrammar(c.App), words, models) {
				if err := p.print("%s", w); err != nil {
					return err
				}
			}
			return nil
		}),
	}
}

// modelNames are the names in the store at dir, or in the usual one. That there is none is no news for somebody who
// presses TAB, and none is made.
func (p *program) modelNames(ctx context.Context, c *cli.Context, dir string) []string {
	if dir != "" && c.Set(storeName, dir) != nil {
		return nil
	}
	if at, err := storeDir(c); err != nil || !isFolder(at) {
		return nil
	}
	var names []string
	_ = p.withStore(c, func(s *mstore.Store) error {
		models, _ := s.List(ctx)
		for _, m := range models {
			names = append(names, clean(m.Name))
		}
		return nil
	})
	return names
}

// complete is what the last of words may become, the others being before it on the line. Nothing means: a file.
func complete(g *grammar, words []string, models func(store string) []string) []string {
	last := words[len(words)-1]
	before := words[:len(words)-1]
	if name, value, ok := strings.Cut(last, "="); ok && isFlag(last) {
		return prefixed(name+"=", withPrefix(flagValues(g, strings.TrimLeft(name, "-")), value))
	}
	l := &line{grammar: g}
	_ = l.read(before) // a line under way may be wrong still
	switch {
	case len(before) > 0 && isFlag(before[len(before)-1]) && g.takesValue(before[len(before)-1]):
		return withPrefix(flagValues(g, strings.TrimLeft(before[len(before)-1], "-")), last)
	case l.passesOn() && (len(l.args) > 1 || slices.Contains(before, "--")):
		return nil
	case strings.HasPrefix(last, "-"):
		return withPrefix(flagNames(g, l.command), last)
	case l.command == nil:
		return withPrefix(commandNames(g), last)
	}
	return withPrefix(operandValues(g, l, models), last)
}

// operandValues are what the next argument may be.
func operandValues(g *grammar, l *line, models func(store string) []string) []string {
	all := operands(l.command)
	if len(all) == 0 {
		return nil
	}
	i := min(len(l.args), len(all)-1)
	if len(l.args) > i && !all[i].many {
		return nil
	}
	switch all[i].name {
	case "NAME":
		return models(l.value(storeName))
	case "REF":
		if !all[i].many { // where push sends to
			return nil
		}
		return append(models(l.value(storeName)), beginnings()...)
	case "SHELL":
		return shells()
	case "COMMAND":
		return commandNames(g)
	}
	return nil
}

// takesValue tells whether the word after a flag is its value.
func (g *grammar) takesValue(word string) bool {
	f := (&line{grammar: g}).find(strings.TrimLeft(word, "-"))
	return f != nil && !isSwitch(f) && !strings.Contains(word, "=")
}

// flagValues are the values of a flag that has a few: its usage names them, as in `text|json`.
func flagValues(g *grammar, name string) []string {
	f := (&line{grammar: g}).find(name)
	doc, ok := f.(cli.DocGenerationFlag)
	if !ok {
		return nil
	}
	value, _ := placeholder(doc.GetUsage())
	if !strings.Contains(value, "|") {
		return nil
	}
	return strings.Split(value, "|")
}

func flagNames(g *grammar, c *cli.Command) []string {
	var names []string
	for name := range g.global {
		names = append(names, dashed(name))
	}
	if c != nil {
		for _, f := range c.Flags {
			names = append(names, dashed(f.Names()[0]))
		}
	}
	slices.Sort(names)
	return names
}

func commandNames(g *grammar) []string {
	var names []string
	for _, c := range g.commands {
		if !c.Hidden {
			names = append(names, c.Name)
		}
	}
	return names
}

func withPrefix(words []string, prefix string) []string {
	return slices.DeleteFunc(words, func(w string) bool { return !strings.HasPrefix(w, prefix) })
}

func prefixed(prefix string, words []string) []string {
	for i, w := range words {
		words[i] = prefix + w
	}
	return words
}
