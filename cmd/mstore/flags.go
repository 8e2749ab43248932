package main

import (
	"cmp"
	"log/slog"
	"os"
	"slices"
	"strings"

	"github.com/urfave/cli/v2"
)

// Names that are used in more than one place.
const (
	execName     = "exec"
	helpName     = "help"
	versionName  = "version"
	storeName    = "store"
	sharedName   = "shared"
	offlineName  = "offline"
	formatName   = "format"
	progressName = "progress"
	logLevelName = "log-level"
	statsName    = "stats"
)

// globalFlags are those of every command.
func globalFlags() []cli.Flag {
	return []cli.Flag{
		&cli.StringFlag{Name: storeName, Usage: "the store's `DIR` (default: MSTORE_CACHE_DIR, or mstore in your cache folder)", EnvVars: []string{"MSTORE_CACHE_DIR"}},
		&cli.BoolFlag{Name: sharedName, Usage: "make a new store one of several users: group-writable"},
		&cli.BoolFlag{Name: offlineName, Usage: "use no network"},
		&cli.StringFlag{Name: formatName, Usage: "print the result as `text|json`", Value: "text"},
		&cli.BoolFlag{Name: "quiet", Usage: "print the result and errors, nothing else"},
		&cli.BoolFlag{Name: "no-progress", Usage: "show no progress"},
		&cli.StringFlag{Name: logLevelName, Usage: "log `error|warn|info|debug` (default: MSTORE_LOG_LEVEL, or warn)"},
		&cli.StringFlag{Name: "log-format", Usage: "log, and report errors, as `text|json`", Value: "text"},
		&cli.BoolFlag{Name: helpName, Aliases: []string{"h"}, Usage: "show help"},
		&cli.BoolFlag{Name: versionName, Usage: "show the version"},
	}
}

// The flags of more than one command.
func jobsFlag(what string) cli.Flag {
	return &cli.IntFlag{Name: "jobs", Usage: what + " `N` blobs at once", DefaultText: "4; 32 small ones"}
}

func plainHTTPFlag() cli.Flag {
	return &cli.BoolFlag{Name: "plain-http", Usage: "speak to the registry without TLS (on loopback that needs no flag)"}
}

func retriesFlag() cli.Flag {
	return &cli.IntFlag{Name: "retries", Usage: "try a request `N` times again", Value: -1, DefaultText: "5"}
}

func timeoutFlag() cli.Flag {
	return &cli.DurationFlag{Name: "timeout", Usage: "give up on a request after `DURATION` without a byte", DefaultText: "60s"}
}

// retries is the flag as the library wants it: 0 means the default there, and a negative number none.
func retries(c *cli.Context) int {
	switch n := c.Int("retries"); {
	case !c.IsSet("retries"):
		return 0
	case n <= 0:
		return -1
	default:
		return n
	}
}

// configure reads the global flags.
func (p *program) configure(c *cli.Context) error {
	p.quiet = c.Bool("quiet")
	formats := []string{"text", "json"}
	if c.Command.Name == statsName {
		formats = append(formats, prometheusName)
	}
	format, err := choice(c, formatName, formats...)
	if err != nil {
		return err
	}
	logFormat, err := choice(c, "log-format", "text", "json")
	if err != nil {
		return err
	}
	level, err := p.logLevel(c)
	if err != nil {
		return err
	}
	p.json, p.jsonLog = format == "json", logFormat == "json"
	p.log = newLog(p.err, level, p.jsonLog)
	return p.chooseProgress(c)
}

// logLevel is what --log-level says, else MSTORE_DEBUG, else --quiet, else MSTORE_LOG_LEVEL, else warnings.
func (p *program) logLevel(c *cli.Context) (slog.Level, error) {
	name, from := c.String(logLevelName), "--"+logLevelName
	switch debug := strings.ToLower(os.Getenv("MSTORE_DEBUG")); {
	case name != "":
	case debug != "" && debug != "0" && debug != "false":
		name = "debug"
	case p.quiet:
		name = "error"
	default:
		name, from = cmp.Or(os.Getenv("MSTORE_LOG_LEVEL"), "warn"), "MSTORE_LOG_LEVEL"
	}
	if err := oneOf(from, name, "error", "warn", "info", "debug"); err != nil {
		return 0, err
	}
	var level slog.Level
	return level, level.UnmarshalText([]byte(name))
}

// choice is the value of a flag that has a few.
func choice(c *cli.Context, flag string, values ...string) (string, error) {
	value := c.String(flag)
	return value, oneOf("--"+flag, value, values...)
}

func oneOf(what, value string, values ...string) error {
	if slices.Contains(values, value) {
		return nil
	}
	err := usagef("%s is one of %s, not %q", what, strings.Join(values, ", "), value)
	if near := nearest(value, slices.Clone(values)); near != "" {
		err.hint = "did you mean " + near + "?"
	}
	return err
}

// newLog writes records as lines; what came from outside is escaped in them.
func newLog(to *console, level slog.Level, json bool) *slog.Logger {
	opts := &slog.HandlerOptions{Level: level}
	if json {
		return slog.New(slog.NewJSONHandler(cleanJSONWriter{to}, opts))
	}
	return slog.New(slog.NewTextHandler(to, opts))
}
