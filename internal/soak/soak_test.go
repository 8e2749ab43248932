package soak_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/mstore/mstore/internal/registrytest"
	"github.com/mstore/mstore/internal/storecheck"
)

const (
	processes  = 16
	shortSoak  = 1500            // rounds, where MSTORE_SOAK does not say
	checkEvery = 200             // rounds between two looks at the store at rest
	killOne    = 3               // of so many
	killWithin = 100             // milliseconds from its start, more than most commands take
	patience   = 2 * time.Minute // with a command that takes a tenth of a second; then it waits for ever
	oneDay     = 25 * time.Hour  // longer than any period of grace but that of partial blobs
	oneWeek    = 8 * 24 * time.Hour
)

// model is what a name may mean.
type model struct {
	ref   string // in the registry
	dir   string
	files map[string][sha256.Size]byte
}

// soak is one store and what is done to it.
type soak struct {
	*testing.T
	seed              uint64
	store, home, out  string
	registry          string
	models            []model
	prepare           func(*exec.Cmd) // before it is started
	kill              func(*exec.Cmd) error
	agesBetweenChecks bool

	removed atomic.Int64 // blobs, by gc
	mu      sync.Mutex
	tally   map[string]map[string]int // by act, by how it ended
}

// prepared is a soak that has no models yet.
func prepared(t *testing.T) *soak {
	t.Helper()
	s := &soak{
		T: t, seed: uint64(time.Now().UnixNano()), store: filepath.Join(t.TempDir(), "store"), home: t.TempDir(), out: t.TempDir(),
		registry: registrytest.Start(t, registrytest.Options{}).Host,
		prepare:  func(*exec.Cmd) {}, kill: func(c *exec.Cmd) error { return c.Process.Kill() },
		tally: make(map[string]map[string]int),
	}
	if text := os.Getenv("MSTORE_SOAK_SEED"); text != "" {
		var err error
		s.seed, err = strconv.ParseUint(text, 10, 64)
		s.must(err)
	}
	t.Logf("MSTORE_SOAK_SEED=%d", s.seed)
	return s
}

func (s *soak) must(err error) {
	s.Helper()
	if err != nil {
		s.Fatal(err)
	}
}

// makeModels makes six models: all have one file in common, and each shares another with two more. The first is large,
// so that some are killed in the middle of a file.
func (s *soak) makeModels() {
	s.Helper()
	const count, kib = 6, 1 << 10
	for i := range count {
		m := model{ref: fmt.Sprintf("%s/models/%d:v1", s.registry, i), dir: s.TempDir()}
		own := 300 * kib
		if i == 0 {
			own = 12_000 * kib
		}
		for name, b := range map[string][]byte{
			"shared.bin": random(1000*kib, 100), "third.bin": random(200*kib, uint64(101+i%3)), "own.bin": random(own, uint64(i)),
			"config.json": fmt.Appendf(nil, `{"model":%d}`, i), "sub/vocab.txt": []byte("a\nb\n"),
		} {
			path := filepath.Join(m.dir, filepath.FromSlash(name))
			s.must(errors.Join(os.MkdirAll(filepath.Dir(path), 0o755), os.WriteFile(path, b, 0o600)))
		}
		var err error
		m.files, err = contents(m.dir)
		s.must(err)
		s.models = append(s.models, m)
	}
	other := filepath.Join(s.TempDir(), "store")
	for _, m := range s.models {
		s.wantDone(other, "import", m.dir, "--as", "m")
		s.wantDone(other, "push", "m", m.ref)
	}
	for _, name := range keepers {
		s.wantDone(s.store, "import", s.models[0].dir, "--as", name)
	}
	s.wantDone(s.store, "pin", keepers[0])
}

func random(n int, seed uint64) []byte {
	b := make([]byte, n)
	var key [32]byte
	key[0] = byte(seed)
	_, _ = rand.NewChaCha8(key).Read(b)
	return b
}

// contents is the files below a folder, each with its sha256.
func contents(dir string) (map[string][sha256.Size]byte, error) {
	all := make(map[string][sha256.Size]byte)
	err := fs.WalkDir(os.DirFS(dir), ".", func(name string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		raw, err := os.ReadFile(filepath.Join(dir, filepath.FromSlash(name)))
		all[name] = sha256.Sum256(raw)
		return err
	})
	return all, err
}

// command is the command on a store, with no configuration but its own.
func (s *soak) command(ctx context.Context, store string, line ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, mstoreBinary, line...)
	cmd.Env = append(os.Environ(), "MSTORE_CACHE_DIR="+store, "HOME="+s.home, "DOCKER_CONFIG="+s.home)
	return cmd
}

// wantDone runs a command that nobody disturbs.
func (s *soak) wantDone(store string, line ...string) {
	s.Helper()
	cmd := s.command(s.Context(), store, line...)
	s.prepare(cmd)
	if out, err := cmd.CombinedOutput(); err != nil {
		s.Fatalf("mstore %q: %v\n%s", line, err, out)
	}
}

// round runs the command of round n, which may be killed.
func (s *soak) round(n int) {
	r := rand.New(rand.NewPCG(s.seed, uint64(n)))
	a := choose(r)
	line := a.line(s, r, n)
	var kill <-chan time.Time
	if r.IntN(killOne) == 0 {
		kill = time.After(time.Duration(r.IntN(killWithin*1000)) * time.Microsecond)
	}
	cmd := s.command(context.Background(), s.store, line...)
	s.prepare(cmd)
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Start(); err != nil {
		s.Errorf("round %d: %v", n, err)
		return
	}
	err, killed := s.await(cmd, kill)
	how, fault := verdict(s, a, line, err, killed, stdout.String())
	if fault != nil {
		s.Errorf("round %d, mstore %q: %v\n%s%s", n, line, fault, clip(stdout.String()), clip(stderr.String()))
	}
	s.count(a.name, how)
}

// await waits for the end of a process, and kills it when kill says so. One that does not end in time is a fault and is
// asked first where it waits.
func (s *soak) await(cmd *exec.Cmd, kill <-chan time.Time) (err error, killed bool) { //nolint:revive // err is what Wait said
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	late := time.NewTimer(patience)
	defer late.Stop()
	for {
		select {
		case err = <-ended:
			return err, killed
		case <-kill:
			killed = s.kill(cmd) == nil
		case <-late.C:
			_ = cmd.Process.Signal(syscall.SIGQUIT) // its goroutines are printed
			select {
			case <-ended:
			case <-time.After(10 * time.Second):
				_ = s.kill(cmd)
				<-ended
			}
			return fmt.Errorf("it did not end within %v", patience), false
		}
	}
}

// verdict is how a command ended, and whether that is a fault.
func verdict(s *soak, a act, line []string, err error, killed bool, stdout string) (how string, fault error) {
	exit, ok := errors.AsType[*exec.ExitError](err)
	switch {
	case err == nil && a.check != nil:
		return "done", a.check(s, line, stdout)
	case err == nil:
		return "done", nil
	case !ok:
		return "failed", err
	case killed && !exit.Exited():
		return "killed", nil
	case slices.Contains(a.excused, exit.ExitCode()) && (exit.ExitCode() != notFound || !kept(line)):
		return fmt.Sprint("exit ", exit.ExitCode()), nil
	}
	return "failed", err
}

func (s *soak) count(name, how string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.tally[name] == nil {
		s.tally[name] = make(map[string]int)
	}
	s.tally[name][how]++
	if s.tally["all"] == nil {
		s.tally["all"] = make(map[string]int)
	}
	s.tally["all"][how]++
}

func clip(text string) string {
	const most = 8 << 10
	return text[:min(len(text), most)]
}

// run does the rounds, and has the store judged now and then, and at the end.
func (s *soak) run(rounds int) {
	s.Helper()
	start := time.Now()
	for from := 0; from < rounds && !s.Failed(); from += checkEvery {
		var next atomic.Int64
		next.Store(int64(from))
		var all sync.WaitGroup
		for range processes {
			all.Go(func() {
				for n := int(next.Add(1) - 1); n < min(from+checkEvery, rounds) && !s.Failed(); n = int(next.Add(1) - 1) {
					s.round(n)
				}
			})
		}
		all.Wait()
		s.judge(storecheck.Options{})
		if s.agesBetweenChecks {
			s.age(oneDay)
		}
	}
	took := time.Since(start)
	s.Logf("%d rounds in %v, %.0f a second; gc removed %d blobs", rounds, took.Round(time.Second),
		float64(rounds)/took.Seconds(), s.removed.Load())
	if s.removed.Load() == 0 && !s.agesBetweenChecks || s.tally["all"]["killed"] == 0 { // a day's grace keeps what is used again
		s.Error("no blob was removed, or no process killed: this has shown nothing")
	}
	for _, name := range slices.Sorted(maps.Keys(s.tally)) {
		s.Logf("%-16s %v", name, s.tally[name])
	}
	s.atTheEnd()
}

// judge has the store looked at by somebody who shares nothing with it. All processes have ended.
func (s *soak) judge(opts storecheck.Options) {
	s.Helper()
	for _, f := range storecheck.Check(s.store, opts) {
		s.Errorf("the store at rest: %v", f)
	}
}

// age makes everything that lies in the store older: what was used yesterday, and processes that were not heard from.
func (s *soak) age(by time.Duration) {
	s.Helper()
	then := time.Now().Add(-by)
	s.must(filepath.WalkDir(s.store, func(path string, _ fs.DirEntry, err error) error {
		if err == nil {
			err = os.Chtimes(path, then, then)
		}
		return err
	}))
}

// atTheEnd wants that nothing is left but what the tags name: after a week nobody goes on with what was killed.
func (s *soak) atTheEnd() {
	s.Helper()
	s.age(oneWeek)
	s.wantDone(s.store, "verify", "--repair")
	s.wantDone(s.store, "gc")
	s.judge(storecheck.Options{Recovered: true, Swept: true})
	for _, name := range keepers {
		s.wantDone(s.store, "export", name, filepath.Join(s.out, name))
		if err := isOneModel(s, []string{"export", name, filepath.Join(s.out, name)}, ""); err != nil {
			s.Error(err)
		}
	}
}

// rounds is how many a test does.
func rounds(t *testing.T) int {
	t.Helper()
	text := strings.TrimSpace(os.Getenv("MSTORE_SOAK"))
	if text == "" {
		return shortSoak
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < processes {
		t.Fatalf("MSTORE_SOAK is %q, want a number of rounds", text)
	}
	return n
}

// TestSoak: sixteen processes in one store, some of them killed. Nothing that a name means is lost or wrong, nobody waits
// for ever, who is not killed ends well, and in the end there is nothing that nobody needs.
func TestSoak(t *testing.T) {
	s := prepared(t)
	s.makeModels()
	s.run(rounds(t))
}
