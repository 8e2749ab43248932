package tags_test

import (
	"bufio"
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"testing"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/mstore/mstore/manifest/tags"
)

// child names the job that the test binary does when it is started as a process of its own.
const child = "MSTORE_TAGS_TEST_CHILD"

func TestMain(m *testing.M) {
	if job := os.Getenv(child); job != "" {
		if err := runChild(job, os.Args[1:]); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	os.Exit(m.Run())
}

// start runs the test binary as a child process that does job with args.
func start(t *testing.T, job string, args ...string) *exec.Cmd {
	t.Helper()
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), exe, args...)
	cmd.Env = append(os.Environ(), child+"="+job)
	cmd.Stderr = os.Stderr
	return cmd
}

func open(tb testing.TB) (*tags.Tags, string) {
	tb.Helper()
	root := tb.TempDir()
	return reopen(tb, root), root
}

func reopen(tb testing.TB, root string) *tags.Tags {
	tb.Helper()
	ts, err := tags.Open(root, tags.Options{})
	if err != nil {
		tb.Fatal(err)
	}
	return ts
}

// tag is one called name that means a manifest made of what.
func tag(name, what string) tags.Tag {
	return tags.Tag{
		Name: name,
		Descriptor: ocispec.Descriptor{
			MediaType: ocispec.MediaTypeImageManifest, Digest: digest.FromString(what), Size: int64(len(what)),
		},
		Bytes: 1 << 30, Files: 3, Kind: "modelpack",
		Source: tags.Source{Reference: "oci://" + name, Digest: digest.FromString("index of " + what), Revision: "main"},
	}
}

func set(tb testing.TB, ts *tags.Tags, all ...tags.Tag) {
	tb.Helper()
	if err := ts.Set(tb.Context(), all...); err != nil {
		tb.Fatal(err)
	}
}

// plant puts tag files into a store without the cost of doing it safely, and an index beside them.
func plant(tb testing.TB, ts *tags.Tags, root string, n int) {
	tb.Helper()
	set(tb, ts, tag("hf.co/Org/Model-00000:main", "0"))
	model, err := os.ReadFile(tagFile(tb, root, "hf.co/Org/Model-00000:main"))
	if err != nil {
		tb.Fatal(err)
	}
	for i := 1; i < n; i++ {
		name := fmt.Sprintf("hf.co/Org/Model-%05d:main", i)
		data := bytes.ReplaceAll(model, []byte("Model-00000"), fmt.Appendf(nil, "Model-%05d", i))
		if err := os.WriteFile(tagFile(tb, root, name), data, 0o644); err != nil {
			tb.Fatal(err)
		}
	}
	if err := ts.RebuildIndex(tb.Context()); err != nil {
		tb.Fatal(err)
	}
}

func tagFile(tb testing.TB, root, name string) string {
	tb.Helper()
	file, err := tags.Escape(name)
	if err != nil {
		tb.Fatal(err)
	}
	return filepath.Join(root, "tags", file)
}

// runChild is what a child process does: args are the store, a number, and what the job needs.
func runChild(job string, args []string) error {
	ts, err := tags.Open(args[0], tags.Options{})
	if err != nil {
		return err
	}
	id, err := strconv.Atoi(args[1])
	if err != nil {
		return err
	}
	switch job {
	case "churn":
		return churn(ts, id)
	case "write":
		return writeUntilKilled(ts, id)
	}
	return fmt.Errorf("no job %q", job)
}

// ready reads the line that a child prints when it works.
func ready(t *testing.T, cmd *exec.Cmd) {
	t.Helper()
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	if _, err := bufio.NewReader(out).ReadString('\n'); err != nil {
		t.Fatal(err)
	}
}
