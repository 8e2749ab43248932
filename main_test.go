package mstore_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"go.uber.org/goleak"

	"github.com/mstore/mstore"
	"github.com/mstore/mstore/blobstore/storetest"
	"github.com/mstore/mstore/internal/registrytest"
)

// TestMain lets the test binary be another process (see roles), gives all tests one registry and an empty docker
// configuration, and looks for goroutines that a store has left behind.
func TestMain(m *testing.M) {
	if name := os.Getenv("MSTORE_TEST_ROLE"); name != "" {
		os.Exit(runRole(name))
	}
	code, err := withFixtures(m.Run)
	if err == nil {
		err = goleak.Find()
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	os.Exit(code)
}

func withFixtures(run func() int) (code int, err error) {
	dir, err := os.MkdirTemp("", "mstore-test-")
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	if err := os.Setenv("DOCKER_CONFIG", dir); err != nil {
		return 0, err
	}
	fixtures.dir = dir
	defer fixtures.stop()
	return run(), nil
}

// fixture is what tests share: one distribution registry, started by the first that asks.
type fixture struct {
	dir string
	one *registrytest.Registry
}

var fixtures fixture

// registry is the host of the shared registry. Each test keeps to repositories of its own. Tests run one by one.
func (f *fixture) registry() string {
	if f.one == nil {
		conf := filepath.Join(f.dir, "registry")
		if err := os.Mkdir(conf, 0o700); err != nil {
			panic(err)
		}
		var err error
		if f.one, err = registrytest.Serve(context.Background(), registrytest.Tool(noTest{}, "registry"), conf, registrytest.Options{}); err != nil {
			panic(err)
		}
	}
	return f.one.Host
}

func (f *fixture) stop() {
	if f.one != nil {
		f.one.Stop()
	}
}

// noTest stands for a test where there is none.
type noTest struct{ testing.TB }

func (noTest) Helper()                      {}
func (noTest) Fatal(args ...any)            { panic(fmt.Sprint(args...)) }
func (noTest) Fatalf(f string, args ...any) { panic(fmt.Sprintf(f, args...)) }

// quiet keeps warnings that a test provokes out of its output.
func quiet() mstore.Options { return mstore.Options{Log: slog.New(slog.DiscardHandler)} }

// newStore is a store in a folder of the test's own, which is checked whole when the test ends.
func newStore(t testing.TB, change ...func(*mstore.Options)) *mstore.Store {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "store")
	t.Cleanup(func() { checkStore(t, dir) })
	return openStore(t, dir, change...)
}

// openStore opens a store for the time of the test, and does not check it.
func openStore(t testing.TB, dir string, change ...func(*mstore.Options)) *mstore.Store {
	t.Helper()
	opts := quiet()
	for _, c := range change {
		c(&opts)
	}
	s, err := mstore.Open(dir, opts)
	try(t, err)
	t.Cleanup(func() { try(t, s.Close()) })
	return s
}

// checkStore reports everything in a store that nobody uses any more which is not as it should be.
func checkStore(t testing.TB, dir string) {
	t.Helper()
	s, err := mstore.Open(dir, quiet())
	if err != nil {
		t.Errorf("open the store: %v", err)
		return
	}
	ctx := context.Background()
	report, err := s.Verify(ctx, mstore.VerifyOptions{})
	if err != nil {
		t.Errorf("verify: %v", err)
	}
	if report != nil && len(report.Bad)+len(report.Foreign) > 0 {
		t.Errorf("verify found %+v and %q", report.Bad, report.Foreign)
	}
	if _, err := s.GC(ctx, mstore.GCOptions{DryRun: true}); err != nil {
		t.Errorf("plan a collection: %v", err)
	}
	if err := s.Close(); err != nil {
		t.Errorf("close the store: %v", err)
	}
	storetest.Check(t, dir)
}

// runRole is the main function of a child process: it does one thing to a store and prints what came of it as JSON, or
// the error, in one line.
func runRole(name string) int {
	var a roleArgs
	err := json.Unmarshal([]byte(os.Getenv("MSTORE_TEST_ARGS")), &a)
	if err == nil {
		var got any
		if got, err = roles[name](context.Background(), a); err == nil {
			err = json.NewEncoder(os.Stdout).Encode(got)
		}
	}
	if err != nil {
		fmt.Printf("error: %s: %s\n", mstore.ClassOf(err), strings.ReplaceAll(err.Error(), "\n", "; "))
		return 1
	}
	return 0
}

// try ends the test with the first error.
func try(t testing.TB, errs ...error) {
	t.Helper()
	for _, err := range errs {
		if err != nil {
			t.Fatal(err)
		}
	}
}
