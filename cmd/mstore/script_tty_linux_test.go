package main

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"

	"github.com/rogpeppe/go-internal/testscript"
	"golang.org/x/sys/unix"
)

// onatty COLUMNS CODE ARGS... runs mstore with ARGS on a terminal, which must leave with CODE. Each question is answered
// with a line of the file typed. All that the terminal was sent is in the file screen then.
func onTTY(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 3 {
		ts.Fatalf("usage: onatty COLUMNS CODE ARGS...")
	}
	columns, err := strconv.ParseUint(args[0], 10, 16)
	ts.Check(err)
	screen, terminal, err := openTTY(uint16(columns))
	ts.Check(err)
	path, err := exec.LookPath("mstore")
	ts.Check(err)
	cmd := exec.Command(path, args[2:]...)
	cmd.Dir, cmd.Stdin, cmd.Stdout, cmd.Stderr = ts.MkAbs("."), terminal, terminal, terminal
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true}
	for _, name := range []string{"MSTORE_CACHE_DIR", "DOCKER_CONFIG", "HOME"} {
		cmd.Env = append(cmd.Env, name+"="+ts.Getenv(name))
	}
	ts.Check(cmd.Start())
	ts.Check(terminal.Close())
	typed, err := os.ReadFile(ts.MkAbs("typed"))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		ts.Check(err)
	}
	sent := converse(screen, strings.SplitAfter(string(typed), "\n"))
	got := code(cmd.Wait())
	ts.Check(screen.Close())
	ts.Check(os.WriteFile(ts.MkAbs("screen"), sent, 0o600))
	ts.Logf("[screen]\n%q", sent)
	if strconv.Itoa(got) != args[1] {
		ts.Fatalf("exit code %d, want %s", got, args[1])
	}
}

// converse reads what the terminal is sent until the last program has left it, and types a line at each question.
func converse(screen *os.File, lines []string) (sent []byte) {
	buf := make([]byte, 1<<12)
	for {
		n, err := screen.Read(buf)
		sent = append(sent, buf[:n]...)
		if err != nil {
			return sent
		}
		if asks := bytes.HasSuffix(sent, []byte(": ")) || bytes.HasSuffix(sent, []byte("] ")); asks && len(lines) > 0 {
			_, _ = screen.WriteString(lines[0])
			lines = lines[1:]
		}
	}
}

// openTTY makes a terminal, and the side of it that a person sits at.
func openTTY(columns uint16) (screen, terminal *os.File, err error) {
	if screen, err = os.OpenFile("/dev/ptmx", os.O_RDWR|unix.O_NOCTTY, 0); err != nil {
		return nil, nil, err
	}
	fd := int(screen.Fd())
	if err := unix.IoctlSetPointerInt(fd, unix.TIOCSPTLCK, 0); err != nil {
		return nil, nil, err
	}
	n, err := unix.IoctlGetInt(fd, unix.TIOCGPTN)
	if err != nil {
		return nil, nil, err
	}
	const rows = 24
	if err := unix.IoctlSetWinsize(fd, unix.TIOCSWINSZ, &unix.Winsize{Row: rows, Col: columns}); err != nil {
		return nil, nil, err
	}
	terminal, err = os.OpenFile(fmt.Sprintf("/dev/pts/%d", n), os.O_RDWR|unix.O_NOCTTY, 0)
	return screen, terminal, err
}
