package main

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"math"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
)

// exits CODE PROGRAM ARGS... runs a program that must leave with just that code. An error of mstore must come as one
// sentence on standard error, and print nothing strange.
func exits(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: exits CODE PROGRAM ARGS...")
	}
	got := code(ts.Exec(args[1], args[2:]...))
	if strconv.Itoa(got) != args[0] {
		ts.Fatalf("exit code %d, want %s", got, args[0])
	}
	errs := ts.ReadFile("stderr")
	if args[1] != "mstore" || got == 0 || slices.Contains(args, "exec") || slices.Contains(args, "--log-format=json") {
		return
	}
	if !strings.Contains(errs, "mstore: ") || !strings.HasSuffix(errs, "\n") {
		ts.Fatalf("no sentence on standard error: %q", errs)
	}
}

func code(err error) int {
	var status *exec.ExitError
	switch {
	case err == nil:
		return 0
	case errors.As(err, &status):
		return status.ExitCode()
	default:
		return -1
	}
}

// interrupt SIGNAL CODE ARGS... runs mstore with ARGS until the server of slow stalls, signals it, and wants it to
// leave with CODE within a second. Its streams are in the files out and errs then.
func interrupt(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 3 {
		ts.Fatalf("usage: interrupt SIGNAL CODE ARGS...")
	}
	server, _ := ts.Value(slowKey{}).(*slowServer)
	out, err := os.Create(ts.MkAbs("out"))
	ts.Check(err)
	errs, err := os.Create(ts.MkAbs("errs"))
	ts.Check(err)
	path, err := exec.LookPath("mstore")
	ts.Check(err)
	cmd := exec.Command(path, args[2:]...)
	cmd.Dir, cmd.Stdout, cmd.Stderr = ts.MkAbs("."), out, errs
	for _, name := range []string{"MSTORE_CACHE_DIR", "DOCKER_CONFIG", "HOME"} {
		cmd.Env = append(cmd.Env, name+"="+ts.Getenv(name))
	}
	ts.Check(cmd.Start())
	<-server.stalled
	begun := time.Now()
	ts.Check(cmd.Process.Signal(map[string]os.Signal{"INT": os.Interrupt, "TERM": syscall.SIGTERM, "KILL": os.Kill}[args[0]]))
	got := code(cmd.Wait())
	took := time.Since(begun)
	ts.Check(errors.Join(out.Close(), errs.Close()))
	ts.Logf("[stderr]\n%s", ts.ReadFile("errs"))
	if strconv.Itoa(got) != args[1] {
		ts.Fatalf("exit code %d, want %s", got, args[1])
	}
	if took > time.Second {
		ts.Fatalf("it took %v to end", took)
	}
}

// noise FILE BYTES makes a file that no compression makes small, the same each time.
func noise(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: noise FILE BYTES")
	}
	n, err := strconv.Atoi(args[1])
	ts.Check(err)
	var seed [32]byte
	copy(seed[:], args[0])
	data := make([]byte, n)
	_, _ = rand.NewChaCha8(seed).Read(data)
	path := ts.MkAbs(args[0])
	ts.Check(os.MkdirAll(filepath.Dir(path), 0o755))
	ts.Check(os.WriteFile(path, data, 0o644))
}

// weights FILE BYTES makes a file of numbers as models have them, in bf16.
func weights(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: weights FILE BYTES")
	}
	n, err := strconv.Atoi(args[1])
	ts.Check(err)
	const spread, half = 0.02, 16
	random := rand.New(rand.NewPCG(1, 2))
	data := make([]byte, 0, n+1)
	for len(data) < n {
		data = binary.LittleEndian.AppendUint16(data, uint16(math.Float32bits(float32(random.NormFloat64()*spread))>>half))
	}
	path := ts.MkAbs(args[0])
	ts.Check(os.MkdirAll(filepath.Dir(path), 0o755))
	ts.Check(os.WriteFile(path, data[:n], 0o644))
}

// flip DIR flips one bit in the middle of the largest file in DIR.
func flip(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: flip DIR")
	}
	var largest string
	var most int64
	ts.Check(filepath.WalkDir(ts.MkAbs(args[0]), func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		if info, err := d.Info(); err == nil && info.Size() > most {
			largest, most = path, info.Size()
		}
		return nil
	}))
	ts.Check(os.Chmod(largest, 0o600))
	data, err := os.ReadFile(largest)
	ts.Check(err)
	data[len(data)/2] ^= 1
	ts.Check(os.WriteFile(largest, data, 0o600))
	ts.Check(os.Chmod(largest, 0o444))
}

// printable FILE... wants text that is harmless on a terminal: stdout, stderr, or a file.
func printable(ts *testscript.TestScript, neg bool, args []string) {
	for _, name := range args {
		text := strings.ReplaceAll(ts.ReadFile(name), "\n", "")
		if isClean(text) == neg {
			ts.Fatalf("%s: printable is %v: %q", name, !neg, text)
		}
	}
}

// expand FROM TO copies a file with the variables in it replaced by their values.
func expand(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: expand FROM TO")
	}
	ts.Check(os.WriteFile(ts.MkAbs(args[1]), []byte(os.Expand(ts.ReadFile(args[0]), ts.Getenv)), 0o600))
}

// files DIR N BYTES makes N files of noise.
func files(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 3 {
		ts.Fatalf("usage: files DIR N BYTES")
	}
	n, err := strconv.Atoi(args[1])
	ts.Check(err)
	for i := range n {
		noise(ts, false, []string{fmt.Sprintf("%s/model-%05d-of-%05d.bin", args[0], i+1, n), args[2]})
	}
}
