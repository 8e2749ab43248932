package main

import (
	"fmt"
	"strings"

	"github.com/urfave/cli/v2"
)

func (p *program) helpCommand() *cli.Command {
	return &cli.Command{Name: helpName, Usage: "show help, for one command too", ArgsUsage: "[COMMAND]"}
}

// help prints what was asked for: the help of the command that was named, or of all.
func (p *program) help(app *cli.App, l *line) error {
	c := l.command
	if c != nil && c.Name == helpName {
		c = nil
		if len(l.args) > 0 {
			if c = l.grammar.command(l.args[0]); c == nil {
				return l.grammar.unknownCommand(l.args[0])
			}
		}
	}
	if c == nil {
		return p.print("%s", appHelp(app))
	}
	return p.print("%s", commandHelp(c))
}

func appHelp(app *cli.App) string {
	var b strings.Builder
	fmt.Fprintf(&b, "mstore: %s\n\nusage: mstore COMMAND [ARGUMENTS] [FLAGS]\n\n", app.Usage)
	var rows [][2]string
	for _, c := range app.Commands {
		if !c.Hidden {
			rows = append(rows, [2]string{strings.Join(c.Names(), ", "), c.Usage})
		}
	}
	b.WriteString(columns(rows))
	b.WriteString("\nflags of every command, anywhere on the line:\n")
	b.WriteString(columns(flagRows(app.Flags)))
	b.WriteString(`
references: host/repository[:tag][@sha256:...] or oci://...   an OCI registry
            hf://org/name[@revision], hf.co/org/name[:quant]  the Hugging Face Hub (HF_ENDPOINT, HF_TOKEN)
            ollama://[namespace/]name[:tag]                   Ollama's registry
            https://host/path/file[#sha256=...]               one file
            file:PATH, oci-layout:DIR[:tag]                   on this machine
            NAME[:TAG]                                        a model in the store; pull asks where it came from
exit codes: 0 done, 1 internal, 2 usage, 3 not found, 4 verification, 5 quarantined, 6 network, 7 authentication,
            8 storage, 9 busy, 130 interrupted; with several models, the highest

` + "`mstore COMMAND --help` says more about one command.")
	return b.String()
}

func commandHelp(c *cli.Command) string {
	var b strings.Builder
	fmt.Fprintf(&b, "mstore %s: %s\n\nusage: mstore %s", c.Name, c.Usage, c.Name)
	if c.ArgsUsage != "" {
		b.WriteString(" " + c.ArgsUsage)
	}
	if len(c.Flags) > 0 {
		b.WriteString(" [FLAGS]")
	}
	b.WriteString("\n")
	if len(c.Aliases) > 0 {
		fmt.Fprintf(&b, "also:  mstore %s\n", strings.Join(c.Aliases, ", "))
	}
	if c.Description != "" {
		b.WriteString("\n" + c.Description + "\n")
	}
	if len(c.Flags) > 0 {
		b.WriteString("\n" + columns(flagRows(c.Flags)))
	}
	b.WriteString("\n`mstore --help` lists the flags of every command.")
	return b.String()
}

// flagRows are the flags with what they do.
func flagRows(flags []cli.Flag) [][2]string {
	var rows [][2]string
	for _, f := range flags {
		var names []string
		for _, name := range f.Names() {
			names = append(names, dashed(name))
		}
		left := strings.Join(names, ", ")
		doc, _ := f.(cli.DocGenerationFlag)
		usage := doc.GetUsage()
		if !isSwitch(f) {
			var value string
			if value, usage = placeholder(usage); value != "" {
				left += " " + value
			}
			if text := doc.GetDefaultText(); text != "" && text != `""` && text != "-1" && !strings.Contains(usage, "default") {
				usage += " (default: " + strings.Trim(text, `"`) + ")"
			}
		}
		rows = append(rows, [2]string{left, usage})
	}
	return rows
}

// placeholder is the word between back quotes in a flag's usage, and the usage as it reads.
func placeholder(usage string) (value, plain string) {
	before, rest, ok := strings.Cut(usage, "`")
	if !ok {
		return "", usage
	}
	value, after, _ := strings.Cut(rest, "`")
	return value, before + value + after
}

func columns(rows [][2]string) string {
	width := 0
	for _, row := range rows {
		width = max(width, len(row[0]))
	}
	var b strings.Builder
	for _, row := range rows {
		fmt.Fprintf(&b, "  %-*s  %s\n", width, row[0], row[1])
	}
	return b.String()
}
