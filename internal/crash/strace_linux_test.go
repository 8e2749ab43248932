package crash_test

import (
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"
)

// changing are the system calls at which a command is killed: those that change something, and some beside.
const changing = "openat,mkdirat,write,pwrite64,ftruncate,fchmod,utimensat,fsync,fdatasync,renameat,renameat2,linkat,unlinkat,flock,close"

// TestAnySystemCall kills each command at some system call, which no step of internal/durable need be. Which one it is
// depends on the threads: strace counts for each.
func TestAnySystemCall(t *testing.T) {
	strace, err := exec.LookPath("strace")
	if err != nil {
		t.Skip("strace is not installed: nothing is killed at system calls here (CI installs it)")
	}
	tries := 4
	if large() {
		tries = 60
	}
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 0))
	kills := 0
	for name, c := range commands {
		w := newWorld(t)
		if c.prepare != nil {
			c.prepare(t, w)
		}
		for i := range tries {
			at := 1 + random.IntN(80)
			r := begin(t, w, name, fmt.Sprintf("kill-call-%d-", i), at)
			args := append([]string{
				"-f", "-qq", "-o", "/dev/null", "-e", "trace=" + changing, "-e", fmt.Sprintf("inject=%s:signal=KILL:when=%d", changing, at),
				mstoreBinary, "--store", r.store(),
			}, r.words()...)
			cmd := exec.CommandContext(t.Context(), strace, args...)
			cmd.Env = append(os.Environ(), "HOME="+r.dir)
			out, _ := cmd.CombinedOutput()
			switch code := cmd.ProcessState.ExitCode(); {
			case code == killed || code == 128+9:
				kills++
			case code != 0:
				t.Errorf("%s killed at call %d: exit code %d: %s", name, at, code, out)
			}
			r.resume(t, killed)
			_ = os.RemoveAll(filepath.Dir(r.dir))
		}
	}
	t.Logf("%d kills in %d runs", kills, tries*len(commands))
	if kills < len(commands) {
		t.Errorf("%d kills: that is no trial", kills)
	}
}
