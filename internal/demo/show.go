package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"slices"
	"strings"
)

// show is one run of the demo.
type show struct {
	out       io.Writer
	dir       string // everything the demo makes is in here
	command   string
	model     string
	hub       string // the URL of the one that the demo has started, once it has
	reference string // where the model is pushed to
	first     string // the store that imports and pushes
	second    string // the store that pulls
	name      string // the model's name in the second store
	digest    string
	steps     int
}

// all is the story. Each chapter tells what it does, and fails when it saw something else.
func (s *show) all(ctx context.Context) error {
	chapters := []func(context.Context) error{
		s.imports, s.pushes, s.pullsIntoAnotherStore, s.pullsAgain, s.pullsFromAHub, s.verifies, s.exports, s.repairs, s.drops, s.collects,
	}
	for _, chapter := range chapters {
		if err := chapter(ctx); err != nil {
			return err
		}
	}
	_, err := fmt.Fprintf(s.out, "\nAll %d steps went as said.\n", s.steps)
	return err
}

func (s *show) say(format string, args ...any) {
	s.steps++
	_, _ = fmt.Fprintf(s.out, "\n%d. %s\n", s.steps, fmt.Sprintf(format, args...))
}

func (s *show) saw(format string, args ...any) {
	_, _ = fmt.Fprintf(s.out, "   -> %s\n", fmt.Sprintf(format, args...))
}

// mstore runs the command on a store, shows what was typed and gives what it printed on stdout.
func (s *show) mstore(ctx context.Context, store string, args ...string) (string, error) {
	return s.mstoreExits(ctx, 0, store, args...)
}

// mstoreExits is mstore where another exit code than 0 is what should happen.
func (s *show) mstoreExits(ctx context.Context, code int, store string, args ...string) (string, error) {
	_, _ = fmt.Fprintf(s.out, "   $ mstore %s\n", strings.Join(args, " "))
	cmd := exec.CommandContext(ctx, s.command, append([]string{"--store", store, "--no-progress"}, args...)...) //nolint:gosec // the command under show
	cmd.Env = append(slices.DeleteFunc(os.Environ(), func(v string) bool { return strings.HasPrefix(v, "MSTORE_") }),
		"DOCKER_CONFIG="+s.dir, "HF_HOME="+s.dir, "HF_ENDPOINT="+s.hub, "HF_HUB_OFFLINE=")
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	err := cmd.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		return "", err
	}
	if got := cmd.ProcessState.ExitCode(); got != code {
		return "", fmt.Errorf("mstore %s: exit code %d, want %d: %s", args[0], got, code, bytes.TrimSpace(stderr.Bytes()))
	}
	return stdout.String(), nil
}

// ask is mstore with --format json, read into answer.
func (s *show) ask(ctx context.Context, answer any, store string, args ...string) error {
	return s.askExits(ctx, 0, answer, store, args...)
}

func (s *show) askExits(ctx context.Context, code int, answer any, store string, args ...string) error {
	text, err := s.mstoreExits(ctx, code, store, append(args, "--format", "json")...)
	if err != nil {
		return err
	}
	if err := json.Unmarshal([]byte(text), answer); err != nil {
		return fmt.Errorf("mstore %s printed what is no JSON: %w: %s", args[0], err, text)
	}
	return nil
}
