package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/urfave/cli/v2"
	"golang.org/x/term"

	"github.com/mstore/mstore"
)

func (p *program) loginCommand() *cli.Command {
	return &cli.Command{
		Name: "login", Usage: "keep credentials for a registry, after it has accepted them", ArgsUsage: "REGISTRY",
		Description: `They are kept where docker keeps its own, and are those of all tools on this machine. What is not given is
asked for on the terminal.`,
		Flags: []cli.Flag{
			&cli.StringFlag{Name: "username", Aliases: []string{"u"}, Usage: "log in as `NAME`"},
			&cli.BoolFlag{Name: "password-stdin", Usage: "read the password or token from standard input"},
			plainHTTPFlag(),
		},
		Action: p.action(p.login),
	}
}

func (p *program) logoutCommand() *cli.Command {
	return &cli.Command{
		Name: "logout", Usage: "forget the credentials of a registry", ArgsUsage: "REGISTRY",
		Action: p.action(p.logout),
	}
}

type loginDoc struct {
	Registry string `json:"registry"`
	Username string `json:"username,omitempty"`
	LoggedIn bool   `json:"loggedIn"`
}

func (p *program) login(ctx context.Context, c *cli.Context) error {
	host := c.Args().First()
	who, err := p.credentials(ctx, c)
	if err != nil {
		return err
	}
	opts := mstore.Options{UserAgent: userAgent(), Log: p.log}
	if c.Bool("plain-http") {
		opts.PlainHTTP = []string{host}
	}
	if err := mstore.Login(ctx, host, who.name, who.secret, opts); err != nil {
		return err
	}
	return p.result(loginDoc{host, who.name, true}, func() error {
		return p.print("logged in to %s as %s", clean(host), clean(who.name))
	})
}

func (p *program) logout(ctx context.Context, c *cli.Context) error {
	host := c.Args().First()
	if err := mstore.Logout(ctx, host); err != nil {
		return err
	}
	return p.result(loginDoc{Registry: host}, func() error { return p.print("logged out of %s", clean(host)) })
}

// credentials are what a registry knows a user by.
type credentials struct{ name, secret string }

// credentials are those of the flags and of standard input, or of the person at the terminal.
func (p *program) credentials(ctx context.Context, c *cli.Context) (credentials, error) {
	who := credentials{name: c.String("username")}
	fd, terminal := isTerminal(p.in)
	var err error
	switch {
	case c.Bool("password-stdin") && who.name == "":
		return who, &usageError{text: "--password-stdin wants --username too", hint: "add --username NAME"}
	case c.Bool("password-stdin"):
		who.secret, err = p.secretFromInput()
		return who, err
	case !terminal:
		return who, &usageError{
			text: "login has no terminal to ask for the password on", hint: "use --username NAME --password-stdin",
		}
	case who.name == "":
		_, _ = fmt.Fprint(p.err, "Username: ") // whoever does not see the question can still answer it
		if who.name, err = p.readLine(ctx); err != nil {
			return who, err
		}
		if who.name = strings.TrimSpace(who.name); who.name == "" {
			return who, usagef("a name is needed to log in")
		}
	}
	who.secret, err = p.askSecret(ctx, fd)
	return who, err
}

// secretFromInput is all of standard input without the line break at its end.
func (p *program) secretFromInput() (string, error) {
	const most = 1 << 20 // tokens are long, and not that long
	raw, err := io.ReadAll(io.LimitReader(p.in, most))
	if err != nil {
		return "", fmt.Errorf("read the password: %w", err)
	}
	secret := strings.TrimRight(string(raw), "\r\n")
	if secret == "" {
		return "", usagef("standard input has no password")
	}
	return secret, nil
}

// askSecret reads a password that the terminal does not show, not even the part of it that is typed before the question
// is there. It leaves the terminal as it was, also when interrupted.
func (p *program) askSecret(ctx context.Context, fd int) (secret string, err error) {
	before, err := term.MakeRaw(fd)
	if err != nil {
		return "", err
	}
	defer func() { err = errors.Join(err, term.Restore(fd, before)) }()
	type reply struct {
		secret string
		err    error
	}
	got := make(chan reply, 1)
	go func() {
		secret, err := term.NewTerminal(keyboard{p.in, p.err}, "").ReadPassword("Password: ")
		got <- reply{secret, err}
	}()
	select {
	case r := <-got:
		switch {
		case errors.Is(r.err, io.EOF): // Ctrl-C, which is no signal while the terminal is raw, or Ctrl-D
			_, _ = io.WriteString(p.err, "\r\n") // as above
			return "", errInterrupted
		case r.err != nil:
			return "", fmt.Errorf("read the password: %w", r.err)
		case r.secret == "":
			return "", usagef("a password is needed to log in")
		}
		return r.secret, nil
	case <-ctx.Done():
		return "", ctx.Err()
	}
}

// keyboard is a terminal of two streams.
type keyboard struct {
	io.Reader
	io.Writer
}
