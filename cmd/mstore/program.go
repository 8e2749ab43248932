package main

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/urfave/cli/v2"
	"golang.org/x/term"

	"github.com/mstore/mstore"
)

// patience is how long a command may take to end after Ctrl-C. All that a killed process leaves is sound, so that
// leaving it where it stands loses nothing but its last words.
const patience = 800 * time.Millisecond

// program is one run of mstore: its streams, and what the global flags said.
type program struct {
	in  io.Reader
	out io.Writer
	err *console

	command  string // the one under way; empty before it is known
	log      *slog.Logger
	jsonLog  bool
	json     bool // results are JSON
	quiet    bool
	progress progressMode
	watch    watch // whoever is told of events
}

func newProgram(in io.Reader, out, errs io.Writer) *program {
	return &program{in: in, out: out, err: &console{w: errs}, log: slog.New(slog.DiscardHandler)}
}

// run does what the words after the program's name say, and returns the exit code. The first interrupt cancels what is
// under way, the second kills the process at once, as the system does.
func (p *program) run(ctx context.Context, words []string) int {
	ctx, stop := signal.NotifyContext(ctx, os.Interrupt, syscall.SIGTERM)
	defer stop()
	context.AfterFunc(ctx, stop)
	done := make(chan error, 1)
	go func() { done <- p.dispatch(ctx, words) }()
	err := await(ctx, done)
	if classOf(err) == mstore.ErrInterrupted {
		err = p.interrupted()
	}
	p.report(err)
	return exitCode(err)
}

// await is the command's outcome, or an interruption when it does not end in time after one.
func await(ctx context.Context, done <-chan error) error {
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
	}
	select {
	case err := <-done:
		return err
	case <-time.After(patience):
		return errInterrupted
	}
}

// dispatch reads the command line and runs the command.
func (p *program) dispatch(ctx context.Context, words []string) error {
	app := p.app()
	l, err := newGrammar(app).parse(words)
	if err != nil {
		return err
	}
	switch {
	case l.version:
		return p.version()
	case l.help, l.command == nil, l.command.Name == helpName:
		return p.help(app, l)
	}
	return app.RunContext(ctx, l.argv(app.Name))
}

// app is the command line as cli knows it. Help and the exit are ours: cli would print help on errors and leave the
// process.
func (p *program) app() *cli.App {
	app := &cli.App{
		Name: "mstore", HelpName: "mstore", Usage: "keep AI models the way OCI keeps images",
		Flags: globalFlags(), Commands: p.commands(),
		HideHelp: true, HideHelpCommand: true, HideVersion: true, DisableSliceFlagSeparator: true,
		Writer: p.out, ErrWriter: p.err,
		ExitErrHandler: func(*cli.Context, error) {},
		OnUsageError:   onUsageError,
	}
	for _, c := range app.Commands {
		c.HideHelp, c.OnUsageError = true, onUsageError
	}
	return app
}

func onUsageError(_ *cli.Context, err error, _ bool) error { return usagef("%v", err) }

// commands are those of mstore, in the order in which help lists them.
func (p *program) commands() []*cli.Command {
	return []*cli.Command{
		p.pullCommand(), p.pushCommand(), p.importCommand(), p.exportCommand(), p.pathCommand(), p.execCommand(),
		p.listCommand(), p.hasCommand(), p.showCommand(), p.tagCommand(), p.rmCommand(), p.pinCommand(), p.unpinCommand(),
		p.gcCommand(), p.verifyCommand(), p.statsCommand(),
		p.loginCommand(), p.logoutCommand(),
		p.completionCommand(), p.wordsCommand(), p.versionCommand(), p.helpCommand(),
	}
}

// action is what every command does before its own work: it reads the global flags and counts the arguments.
func (p *program) action(do func(context.Context, *cli.Context) error) cli.ActionFunc {
	return func(c *cli.Context) error {
		p.command = c.Command.Name
		if err := p.configure(c); err != nil {
			return err
		}
		if err := checkCount(c.Command, c.Args().Len()); err != nil {
			return err
		}
		return do(c.Context, c)
	}
}

// storeDir is the folder of the store that the flags name, or the environment, or the usual one.
func storeDir(c *cli.Context) (string, error) {
	if dir := c.String(storeName); dir != "" {
		return dir, nil
	}
	dir, err := mstore.DefaultDir()
	if err != nil {
		return "", &usageError{text: "there is no place for the store: " + err.Error(), hint: "name a folder with --store"}
	}
	return dir, nil
}

func isFolder(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.IsDir()
}

// withStore opens the store that the flags name and does something with it.
func (p *program) withStore(c *cli.Context, do func(*mstore.Store) error) (err error) {
	dir, err := storeDir(c)
	if err != nil {
		return err
	}
	quota, err := quota(c)
	if err != nil {
		return err
	}
	store, err := mstore.Open(dir, mstore.Options{
		Shared: c.Bool(sharedName), Offline: c.Bool(offlineName), UserAgent: userAgent(),
		Limits: limits(c), Quota: quota, Log: p.log, Events: p.watch.tell,
	})
	if err != nil {
		return err
	}
	defer func() {
		if e := store.Close(); err == nil {
			err = e
		}
	}()
	return do(store)
}

func userAgent() string { return "mstore/" + buildVersion() }

// say prints one line on standard error.
func (p *program) say(format string, args ...any) {
	_, _ = fmt.Fprintf(p.err, format+"\n", args...) // there is nobody left to tell
}

// note is say for what is good to know and nothing else; --quiet silences it.
func (p *program) note(format string, args ...any) {
	if !p.quiet {
		p.say(format, args...)
	}
}

// isTerminal tells whether a stream is a terminal.
func isTerminal(stream any) (fd int, ok bool) {
	f, ok := stream.(*os.File)
	if !ok {
		return 0, false
	}
	fd = int(f.Fd())
	return fd, term.IsTerminal(fd)
}
