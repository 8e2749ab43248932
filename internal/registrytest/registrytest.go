// Package registrytest runs real registries for tests, benchmarks and the demo: the distribution registry and crane's,
// as processes of their own on loopback, and gives the paths of foreign clients. It holds no logic of mstore.
//
// The programs are built from tools/peers into .tools/bin, by make or by the first test that needs one.
package registrytest

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"sync"
	"testing"
	"time"
)

// The one user that registries with authentication know.
const (
	User     = "alice"
	Password = "open sesame"
)

// startTimeout is how long a registry may take to listen: it needs 0.1 s, and ten times that on a busy machine.
const startTimeout = 30 * time.Second

// Options say what kind of registry is wanted. The zero value is one that lets everybody do everything.
type Options struct {
	Basic    bool   // only User may enter, by name and password
	Token    bool   // pulling needs a token that everybody gets, pushing one that User gets
	ReadOnly bool   // nothing can be pushed
	Dir      string // where blobs are kept; empty: in a fresh folder
	Addr     string // where to listen; empty: a free port of 127.0.0.1
}

// Registry is a registry process under way.
type Registry struct {
	Host   string  // host and port
	Dir    string  // where it keeps its blobs, for a registry of Start
	Tokens *Tokens // who gives its tokens, with Options.Token

	cmd  *exec.Cmd
	done chan struct{} // closed when the process has ended
	stop sync.Once
}

// Start runs the distribution registry until the test ends.
func Start(tb testing.TB, opts Options) *Registry {
	tb.Helper()
	if opts.Dir == "" {
		opts.Dir = tb.TempDir()
	}
	r, err := Serve(context.Background(), Tool(tb, "registry"), tb.TempDir(), opts)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(r.Stop)
	return r
}

// StartCrane runs the registry of crane, which keeps everything in memory, until the test ends.
func StartCrane(tb testing.TB) *Registry {
	tb.Helper()
	cmd := exec.Command(Tool(tb, "crane"), "registry", "serve", "--address", "127.0.0.1:0")
	r, err := start(context.Background(), cmd, regexp.MustCompile(`serving on port (\d+)`))
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(r.Stop)
	r.Host = "127.0.0.1:" + r.Host
	return r
}

// Serve runs the distribution registry of the given binary with its configuration in the folder conf, which must be
// empty, and returns when it answers. The caller stops it.
func Serve(ctx context.Context, binary, conf string, opts Options) (*Registry, error) {
	if opts.Dir == "" {
		opts.Dir = filepath.Join(conf, "data")
	}
	var tokens *Tokens
	if opts.Token {
		var err error
		if tokens, err = serveTokens(); err != nil {
			return nil, err
		}
	}
	file, err := writeConfig(conf, opts, tokens)
	if err != nil {
		return nil, err
	}
	cmd := exec.Command(binary, "serve", file) // it lives until Stop, not until ctx
	cmd.Env = append(os.Environ(), "OTEL_TRACES_EXPORTER=none")
	r, err := start(ctx, cmd, regexp.MustCompile(`listening on (127\.0\.0\.1:\d+)`))
	if err != nil {
		return nil, err
	}
	r.Dir, r.Tokens = opts.Dir, tokens
	return r, r.await(ctx)
}

// start runs cmd and finds where it listens in what it says: the first group of pattern.
func start(ctx context.Context, cmd *exec.Cmd, pattern *regexp.Regexp) (*Registry, error) {
	out, in := io.Pipe()
	cmd.Stdout, cmd.Stderr = in, in
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	r := &Registry{cmd: cmd, done: make(chan struct{})}
	go func() {
		_ = in.CloseWithError(errors.Join(io.EOF, cmd.Wait()))
		close(r.done)
	}()
	listens := make(chan string, 1)
	var said []byte
	go func() {
		lines := bufio.NewScanner(out)
		for lines.Scan() {
			if m := pattern.FindSubmatch(lines.Bytes()); m != nil {
				listens <- string(m[1])
				_, _ = io.Copy(io.Discard, out)
				return
			}
			said = append(append(said, lines.Bytes()...), '\n')
		}
		close(listens)
	}()
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	select {
	case host, ok := <-listens:
		if ok {
			r.Host = host
			return r, nil
		}
		r.Stop()
		return nil, fmt.Errorf("%s ended before it listened:\n%s", cmd.Path, said)
	case <-ctx.Done():
		r.Stop()
		return nil, fmt.Errorf("%s does not listen: %w", cmd.Path, ctx.Err())
	}
}

// await returns when /v2/ is answered, whatever the answer.
func (r *Registry) await(ctx context.Context) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+r.Host+"/v2/", http.NoBody)
	if err != nil {
		return err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		r.Stop()
		return fmt.Errorf("the registry listens and does not answer: %w", err)
	}
	return resp.Body.Close()
}

// Stop kills the registry and waits until it is gone. Stopping twice is harmless.
func (r *Registry) Stop() {
	r.stop.Do(func() {
		_ = r.cmd.Process.Kill() // that it has ended already is no news
		<-r.done
		if r.Tokens != nil {
			r.Tokens.server.Close()
		}
	})
}
