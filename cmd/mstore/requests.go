package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"

	"github.com/opencontainers/go-digest"
	"github.com/urfave/cli/v2"

	"github.com/mstore/mstore"
	"github.com/mstore/mstore/internal/key"
)

const fromFileName = "from-file"

// pullRequests are what a pull was asked for: its arguments, then the lines of --from-file.
func (p *program) pullRequests(c *cli.Context) ([]mstore.Request, error) {
	shared := mstore.PullOptions{
		Jobs: c.Int("jobs"), Retries: retries(c), Timeout: c.Duration("timeout"), PlainHTTP: c.Bool("plain-http"),
	}
	for _, name := range []string{"as", "digest", "platform", "priority", "to"} {
		if !c.IsSet(name) {
			continue
		}
		if err := setOption(&shared, name, c.String(name)); err != nil {
			return nil, err
		}
	}
	shared.Include, shared.Exclude = c.StringSlice("include"), c.StringSlice("exclude")
	var all []mstore.Request
	for _, ref := range c.Args().Slice() {
		all = append(all, mstore.Request{Reference: ref, PullOptions: shared})
	}
	if file := c.String(fromFileName); file != "" {
		listed, err := p.listed(file, shared)
		if err != nil {
			return nil, err
		}
		all = append(all, listed...)
	}
	switch {
	case len(all) == 0 && c.IsSet(fromFileName):
		return nil, usagef("there is no reference in %s", c.String(fromFileName))
	case len(all) == 0:
		return nil, &usageError{text: "pull wants a REF", hint: "usage: mstore pull REF..."}
	}
	for _, flag := range []string{"as", "digest", "to"} {
		if len(all) > 1 && c.IsSet(flag) {
			return nil, usagef("--%s is for one model, not for %d", flag, len(all))
		}
	}
	return all, nil
}

// setOption sets what a flag says of one model, on the command line or in a file.
func setOption(o *mstore.PullOptions, name, value string) error {
	switch name {
	case "as":
		o.As = value
	case "digest":
		var err error
		o.Digest, err = digestValue(value)
		return err
	case "platform":
		o.Platform = value
	case "include":
		o.Include = append(slices.Clip(o.Include), value)
	case "exclude":
		o.Exclude = append(slices.Clip(o.Exclude), value)
	case "to":
		o.To = value
	case "priority":
		o.Priority = mstore.Priority(value)
		return oneOf("--priority", value, string(mstore.High), string(mstore.Normal), string(mstore.Low))
	default:
		return usagef("--%s is for the whole command, not for a line", name)
	}
	return nil
}

// digestFlag is the value of --digest, or "".
func digestFlag(c *cli.Context) (digest.Digest, error) {
	if !c.IsSet("digest") {
		return "", nil
	}
	return digestValue(c.String("digest"))
}

func digestValue(value string) (digest.Digest, error) {
	k, err := key.Parse(digest.Digest(value))
	if err != nil {
		return "", usagef("--digest wants sha256: and 64 hexadecimal digits, not %q", value)
	}
	return k.Digest(), nil
}

// listed are the requests of a file, one a line; "-" is standard input. Flags of a line go before, and for --include
// and --exclude beside, those of the command. Errors name the file and the line.
func (p *program) listed(file string, shared mstore.PullOptions) ([]mstore.Request, error) {
	in, name := p.in, "standard input"
	if file != "-" {
		f, err := os.Open(file)
		if err != nil {
			return nil, fmt.Errorf("--%s: %w", fromFileName, err)
		}
		defer func() { _ = f.Close() }() // it was only read
		in, name = f, file
	}
	const longest = 1 << 20
	lines := bufio.NewScanner(in)
	lines.Buffer(nil, longest)
	grammar := newGrammar(p.app())
	var all []mstore.Request
	for n := 1; lines.Scan(); n++ {
		words := wordsOf(lines.Text())
		if len(words) == 0 {
			continue
		}
		r, err := grammar.request(words, shared)
		if err != nil {
			return nil, inLine(name, n, err)
		}
		all = append(all, r)
	}
	if err := lines.Err(); err != nil && !errors.Is(err, io.EOF) {
		if errors.Is(err, bufio.ErrTooLong) {
			return nil, usagef("%s: a line is too long: it is no list of references", name)
		}
		return nil, fmt.Errorf("--%s: %w", fromFileName, err)
	}
	return all, nil
}

// wordsOf are the words of a line up to a comment.
func wordsOf(line string) []string {
	words := strings.Fields(strings.TrimPrefix(line, "\ufeff"))
	if i := slices.IndexFunc(words, func(w string) bool { return strings.HasPrefix(w, "#") }); i >= 0 {
		words = words[:i]
	}
	return words
}

// request reads the words of one line of a file.
func (g *grammar) request(words []string, shared mstore.PullOptions) (mstore.Request, error) {
	r := mstore.Request{PullOptions: shared}
	l, err := g.parse(append([]string{"pull"}, words...))
	switch {
	case err != nil:
		return r, err
	case l.help || l.version:
		return r, usagef("--%s and --%s are for the whole command, not for a line", helpName, versionName)
	case len(l.args) != 1:
		return r, usagef("a line has one reference, and this has %d", len(l.args))
	}
	r.Reference = l.args[0]
	for _, word := range l.flags {
		flag, value, _ := strings.Cut(strings.TrimPrefix(word, "--"), "=")
		if err := setOption(&r.PullOptions, flag, value); err != nil {
			return r, err
		}
	}
	return r, nil
}

// inLine says where in a file something is wrong.
func inLine(name string, n int, err error) error {
	where := fmt.Sprintf("%s:%d: ", name, n)
	if usage, ok := errors.AsType[*usageError](err); ok {
		return &usageError{text: where + usage.text, hint: usage.hint}
	}
	return fmt.Errorf("%s%w", where, err)
}
