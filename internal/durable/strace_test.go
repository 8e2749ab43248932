package durable_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/mstore/mstore/internal/durable"
)

// steps are the acts under strace, each with the calls its comment promises. The child does the act that
// DURABLE_STRACE names in the folder it is given.
var steps = map[string]struct {
	act  func(dir string) error
	want []string
}{
	"WriteFile": {
		func(dir string) error { return durable.WriteFile(filepath.Join(dir, "f"), []byte("x"), 0o600) },
		[]string{"openat .tmp-", "write", "fchmod", "fsync .tmp-", "close", "rename .tmp- f", "openat dir", "fsync dir", "close"},
	},
	"Publish": {
		func(dir string) error {
			f, err := os.Open(filepath.Join(dir, "have"))
			if err != nil {
				return err
			}
			return durable.Publish(f, filepath.Join(dir, "f"))
		},
		[]string{"openat have", "fsync have", "rename have f", "openat dir", "fsync dir", "close"},
	},
	"SyncFile": {
		func(dir string) error {
			f, err := os.Open(filepath.Join(dir, "have"))
			if err != nil {
				return err
			}
			return durable.SyncFile(f)
		},
		[]string{"openat have", "fsync have"},
	},
	"StartSync": {
		func(dir string) error {
			f, err := os.Open(filepath.Join(dir, "have"))
			if err == nil {
				durable.StartSync(f, 0, 8<<20)
			}
			return err
		},
		[]string{"openat have", "sync_file_range have"},
	},
	"SyncData": {
		func(dir string) error {
			f, err := os.Open(filepath.Join(dir, "have"))
			if err == nil {
				err = durable.SyncData(f)
			}
			return err
		},
		[]string{"openat have", "fdatasync have"},
	},
	"MkdirAll": {
		func(dir string) error { return durable.MkdirAll(filepath.Join(dir, "a", "b"), 0o700) },
		[]string{"mkdir a", "openat dir", "fsync dir", "close", "mkdir b", "openat a", "fsync a", "close"},
	},
	"Move": {
		func(dir string) error { return durable.Move(filepath.Join(dir, "have"), filepath.Join(dir, "f")) },
		[]string{"rename have f"},
	},
	"Link": {
		func(dir string) error { return durable.Link(filepath.Join(dir, "have"), filepath.Join(dir, "f")) },
		[]string{"link have f"},
	},
	"Remove": {
		func(dir string) error { return durable.Remove(filepath.Join(dir, "have")) },
		[]string{"unlink have", "openat dir", "fsync dir", "close"},
	},
}

func TestMain(m *testing.M) {
	step, ok := steps[os.Getenv("DURABLE_STRACE")]
	if !ok {
		os.Exit(m.Run())
	}
	if err := step.act(os.Getenv("DURABLE_STRACE_DIR")); err != nil {
		panic(err)
	}
}

// TestSystemCalls holds the comment above each function against the kernel's view.
func TestSystemCalls(t *testing.T) {
	strace, err := exec.LookPath("strace")
	if err != nil {
		t.Skip("strace is not installed: the order of system calls is not compared here (CI installs it)")
	}
	for name, step := range steps {
		t.Run(name, func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), "dir")
			if err := os.Mkdir(dir, 0o700); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(filepath.Join(dir, "have"), nil, 0o600); err != nil {
				t.Fatal(err)
			}
			log := filepath.Join(t.TempDir(), "log")
			cmd := exec.CommandContext(t.Context(), strace, "-f", "-qq", "-y", "-o", log,
				"-e", "trace=openat,write,fchmod,fsync,fdatasync,sync_file_range,close,rename,renameat,renameat2,link,linkat,unlink,unlinkat,mkdir,mkdirat",
				os.Args[0])
			cmd.Env = append(os.Environ(), "DURABLE_STRACE="+name, "DURABLE_STRACE_DIR="+dir)
			if out, err := cmd.CombinedOutput(); err != nil {
				t.Fatalf("%v: %s", err, out)
			}
			raw, err := os.ReadFile(log)
			if err != nil {
				t.Fatal(err)
			}
			if got := calls(string(raw), dir); !slices.Equal(got, step.want) {
				t.Errorf("%s calls\n got %q\nwant %q\n%s", name, got, step.want, raw)
			}
		})
	}
}

var (
	callLine = regexp.MustCompile(`^\d+ +([a-z0-9_]+)\((.*)`)
	errno    = regexp.MustCompile(` = -1 E`)
)

// calls reduces a strace log to the calls that touch dir, each as its name and the base names of the paths in it.
func calls(log, dir string) []string {
	inDir := regexp.MustCompile(regexp.QuoteMeta(dir) + `(/[^">]*)?`)
	var got []string
	for line := range strings.Lines(log) {
		m := callLine.FindStringSubmatch(line)
		if m == nil || errno.MatchString(line) || !strings.Contains(line, dir) {
			continue
		}
		name := strings.NewReplacer("renameat2", "rename", "renameat", "rename", "unlinkat", "unlink", "linkat", "link", "mkdirat", "mkdir").Replace(m[1])
		args, _, _ := strings.Cut(m[2], ") = ")
		if name == "write" || name == "fchmod" || name == "close" {
			got = append(got, name)
			continue
		}
		for _, path := range inDir.FindAllString(args, -1) {
			base := filepath.Base(path)
			if strings.HasPrefix(base, ".tmp-") {
				base = ".tmp-"
			}
			name += " " + base
		}
		got = append(got, name)
	}
	return got
}
