package hub_test

import (
	"bytes"
	"context"
	"io"
	"log/slog"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/mstore/mstore/fetch/hub"
	"github.com/mstore/mstore/fetch/source"
	"github.com/mstore/mstore/fetch/sourcetest"
	"github.com/mstore/mstore/internal/hubtest"
)

const (
	secret = "hf_open-sesame"
	id     = "org/model"
)

// client is one of a hub, with the token of nobody.
func client(t *testing.T, h *hubtest.Hub, change ...func(*hub.Options)) *hub.Client {
	t.Helper()
	opts := hub.Options{Endpoint: h.Endpoint}
	for _, c := range change {
		c(&opts)
	}
	c := hub.New(opts)
	t.Cleanup(c.Close)
	return c
}

// as gives a client a token.
func as(token string) func(*hub.Options) {
	return func(o *hub.Options) { o.Token = func(context.Context) (string, error) { return token, nil } }
}

// logging gives a client a log, and the test its text.
func logging(to *bytes.Buffer) func(*hub.Options) {
	return func(o *hub.Options) { o.Log = slog.New(slog.NewTextHandler(to, nil)) }
}

func options() source.Options { return source.Options{Transfer: sourcetest.Quick()} }

func resolve(t *testing.T, c *hub.Client, ref string, change ...func(*source.Options)) *source.Model {
	t.Helper()
	opts := options()
	for _, f := range change {
		f(&opts)
	}
	m, err := c.Resolve(t.Context(), ref, opts)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func including(patterns ...string) func(*source.Options) {
	return func(o *source.Options) { o.Include = patterns }
}

func excluding(patterns ...string) func(*source.Options) {
	return func(o *source.Options) { o.Exclude = patterns }
}

func wantPaths(t *testing.T, m *source.Model, want ...string) {
	t.Helper()
	var got []string
	for _, f := range m.Files {
		got = append(got, f.Path)
	}
	if diff := cmp.Diff(sorted(want), got); diff != "" {
		t.Errorf("files (-want +got):\n%s", diff)
	}
}

// named makes small files of paths: weights in LFS.
func named(paths ...string) []hubtest.File {
	var files []hubtest.File
	for _, p := range paths {
		files = append(files, hubtest.File{Path: p, Data: []byte(p), LFS: !strings.HasSuffix(p, ".json") && !strings.HasSuffix(p, ".md")})
	}
	return files
}

// read asks the first origin of a file for a range.
func read(t *testing.T, f source.File, off, n int64) (string, error) {
	t.Helper()
	answer, err := f.Origins[0].Fetch(t.Context(), off, n)
	if err != nil {
		return "", err
	}
	defer answer.Body.Close()
	raw, err := io.ReadAll(io.LimitReader(answer.Body, 1<<20))
	return string(raw), err
}

func sorted(paths []string) []string {
	paths = slices.Clone(paths)
	slices.Sort(paths)
	return paths
}
