package mstore_test

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/mstore/mstore"
	"github.com/mstore/mstore/blobstore"
	"github.com/mstore/mstore/fetch"
	"github.com/mstore/mstore/fetch/guard"
	"github.com/mstore/mstore/fetch/source"
	"github.com/mstore/mstore/fetch/transfer"
	"github.com/mstore/mstore/manifest"
	"github.com/mstore/mstore/manifest/tags"
)

// broken ends a connection in some way, after a request was read.
func broken(t *testing.T, end func(c *net.TCPConn)) string {
	t.Helper()
	return serving(t, func(w http.ResponseWriter, _ *http.Request) {
		c, _, err := http.NewResponseController(w).Hijack()
		if err != nil {
			panic(err)
		}
		end(c.(*net.TCPConn))
		_ = c.Close()
	})
}

func status(t *testing.T, code int, headers ...string) string {
	t.Helper()
	return serving(t, func(w http.ResponseWriter, r *http.Request) {
		if strings.HasSuffix(r.URL.Path, "/v2/") {
			return
		}
		for i := 0; i+1 < len(headers); i += 2 {
			w.Header().Set(headers[i], headers[i+1])
		}
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(code)
		_, _ = w.Write([]byte(`{"errors":[{"code":"X","message":"said by the server"}]}`))
	})
}

func is[E error](err error) bool {
	_, ok := errors.AsType[E](err)
	return ok
}

func isStatus(code int) func(error) bool {
	return func(err error) bool {
		s, ok := errors.AsType[*transfer.StatusError](err)
		return ok && s.Status == code
	}
}

func isErr(target error) func(error) bool {
	return func(err error) bool { return errors.Is(err, target) }
}

// TestClassesOfPulls makes each failure for real, and looks for its class, its cause, and whether a retry can help.
func TestClassesOfPulls(t *testing.T) {
	hanging := serving(t, func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() })
	for name, c := range map[string]struct {
		host  string
		o     mstore.PullOptions
		class mstore.Class
		cause func(error) bool
		retry bool
	}{
		"no such host":      {"registry.invalid", once, mstore.ErrNetwork, is[*net.DNSError], false},
		"refused":           {closedPort(t), once, mstore.ErrNetwork, isErr(syscall.ECONNREFUSED), true},
		"reset":             {broken(t, func(c *net.TCPConn) { _ = c.SetLinger(0) }), once, mstore.ErrNetwork, isErr(syscall.ECONNRESET), true},
		"closed":            {broken(t, func(*net.TCPConn) {}), once, mstore.ErrNetwork, nil, true},
		"no HTTP":           {broken(t, func(c *net.TCPConn) { _, _ = c.Write([]byte("SSH-2.0\r\n\r\n")) }), once, mstore.ErrNetwork, nil, true},
		"unknown authority": {selfSigned(t), once, mstore.ErrNetwork, is[x509.UnknownAuthorityError], false},
		"401":               {status(t, 401), once, mstore.ErrAuthentication, isErr(source.ErrAuth), false},
		"401, basic":        {status(t, 401, "WWW-Authenticate", `Basic realm="x"`), once, mstore.ErrAuthentication, isErr(source.ErrAuth), false},
		"403":               {status(t, 403), once, mstore.ErrAuthentication, isStatus(403), false},
		"404":               {status(t, 404), once, mstore.ErrNotFound, isErr(source.ErrNotFound), false},
		"429":               {status(t, 429, "Retry-After", "0"), mstore.PullOptions{Retries: 2}, mstore.ErrNetwork, isStatus(429), true},
		"500":               {status(t, 500), once, mstore.ErrNetwork, isStatus(500), true},
		"503, retried":      {status(t, 503), mstore.PullOptions{Retries: 1}, mstore.ErrNetwork, isStatus(503), true},
		"418":               {status(t, 418), once, mstore.ErrNetwork, isStatus(418), false},
		"a loop": {serving(t, func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, r.URL.Path, http.StatusTemporaryRedirect)
		}), once, mstore.ErrNetwork, nil, false},
		"to a file": {status(t, 307, "Location", "file:///etc/passwd"), once, mstore.ErrNetwork, nil, false},
		"no answer": {hanging, mstore.PullOptions{Retries: -1, Timeout: 50 * time.Millisecond}, mstore.ErrNetwork, is[*transfer.StallError], true},
	} {
		t.Run(name, func(t *testing.T) {
			s := newStore(t)
			changesNothing(t, name, s, c.class, func() error {
				_, err := s.Pull(t.Context(), c.host+"/m:v1", c.o)
				if c.cause != nil && !c.cause(err) {
					t.Errorf("the cause is lost: %v", err)
				}
				if got := mstore.Retryable(err); got != c.retry {
					t.Errorf("Retryable = %v, want %v: %v", got, c.retry, err)
				}
				return err
			})
		})
	}
}

func TestClassesOfContexts(t *testing.T) {
	hanging := serving(t, func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() })
	s, dir := newStore(t), small(t, 1)
	load(t, s, dir, "m")
	cancelled, cancel := context.WithCancel(t.Context())
	cancel()
	late, stop := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer stop()
	for name, do := range map[string]func(ctx context.Context) error{
		"Pull": func(ctx context.Context) error {
			_, err := s.Pull(ctx, hanging+"/m:v1", mstore.PullOptions{})
			return err
		},
		"Push": func(ctx context.Context) error {
			_, err := s.Push(ctx, "m", hanging+"/m:v1", mstore.PushOptions{})
			return err
		},
		"Import": func(ctx context.Context) error {
			_, err := s.Import(ctx, []string{dir}, "n", mstore.ImportOptions{})
			return err
		},
		"Verify": func(ctx context.Context) error { _, err := s.Verify(ctx, mstore.VerifyOptions{}); return err },
		"GC":     func(ctx context.Context) error { _, err := s.GC(ctx, mstore.GCOptions{All: true}); return err },
		"Export": func(ctx context.Context) error {
			_, err := s.Export(ctx, "m", filepath.Join(t.TempDir(), "out"), mstore.ExportOptions{})
			return err
		},
		"VerifyFile": func(ctx context.Context) error {
			return s.VerifyFile(ctx, dir+"/config.json", mstore.FileWant{Name: "m/config.json"})
		},
	} {
		changesNothing(t, name, s, mstore.ErrInterrupted, func() error {
			err := do(cancelled)
			if !errors.Is(err, context.Canceled) || mstore.Retryable(err) {
				t.Errorf("%s, cancelled: %v", name, err)
			}
			return err
		})
	}
	_, err := s.Pull(late, hanging+"/m:v1", mstore.PullOptions{})
	wantFailure(t, "deadline", err, mstore.ErrNetwork)
	if !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("the deadline is lost: %v", err)
	}
}

// TestClasses are errors that are hard to come by, as the rooms give them.
func TestClasses(t *testing.T) {
	in := func(err error) error {
		return fmt.Errorf("model.gguf: %w", &fs.PathError{Op: "write", Path: "/x", Err: err})
	}
	mismatch := &blobstore.MismatchError{Want: digest.FromString("a"), Got: digest.FromString("b"), WantSize: 1, GotSize: 1}
	for _, c := range []struct {
		err   error
		class mstore.Class
		retry bool
	}{
		{in(syscall.ENOSPC), mstore.ErrStorage, false},
		{in(syscall.EDQUOT), mstore.ErrStorage, false},
		{in(syscall.EROFS), mstore.ErrStorage, false},
		{in(syscall.EACCES), mstore.ErrStorage, false},
		{in(syscall.EPERM), mstore.ErrStorage, false},
		{in(syscall.EIO), mstore.ErrStorage, false},
		{in(syscall.EMFILE), mstore.ErrStorage, false},
		{in(syscall.ENAMETOOLONG), mstore.ErrStorage, false},
		{in(syscall.EBUSY), mstore.ErrBusy, true},
		{in(syscall.ENOENT), mstore.ErrNotFound, false},
		{in(syscall.EINVAL), mstore.ErrStorage, false},
		{fmt.Errorf("%w: %w", transfer.ErrInterrupted, in(syscall.ENOSPC)), mstore.ErrStorage, false},
		{fmt.Errorf("x: %w", mismatch), mstore.ErrVerification, false},
		{blobstore.ErrCorrupt, mstore.ErrVerification, false},
		{blobstore.ErrNotFound, mstore.ErrVerification, false},
		{fmt.Errorf("%w: %w", blobstore.ErrRefused, errors.New("a pickle")), mstore.ErrQuarantined, false},
		{blobstore.ErrWithheld, mstore.ErrQuarantined, false},
		{manifest.ErrMalformed, mstore.ErrVerification, false},
		{fmt.Errorf("%w: %w", manifest.ErrMalformed, manifest.ErrUnsafePath), mstore.ErrVerification, false},
		{manifest.ErrUnsafePath, mstore.ErrUsage, false},
		{fetch.ErrPinned, mstore.ErrVerification, false},
		{source.ErrDigest, mstore.ErrVerification, false},
		{guard.ErrRedirect, mstore.ErrNetwork, false},
		{tags.ErrUnreadable, mstore.ErrStorage, false},
		{tags.ErrMoved, mstore.ErrBusy, true},
		{transfer.ErrRange, mstore.ErrNetwork, true},
		{transfer.ErrInterrupted, mstore.ErrNetwork, true},
		{&net.OpError{Op: "dial", Err: os.NewSyscallError("connect", syscall.ENETUNREACH)}, mstore.ErrNetwork, true},
		{&net.DNSError{Err: "no such host", IsNotFound: true}, mstore.ErrNetwork, false},
		{context.DeadlineExceeded, mstore.ErrNetwork, true},
		{context.Canceled, mstore.ErrInterrupted, false},
		{fmt.Errorf("given up: %w", errors.Join(context.Canceled, in(syscall.ENOSPC))), mstore.ErrInterrupted, false},
		{nil, "", false},
		{errors.New("who knows"), mstore.ErrInternal, false},
		{fmt.Errorf("a program's own: %w", mstore.ErrBusy), mstore.ErrBusy, true},
	} {
		if got := mstore.ClassOf(c.err); got != c.class {
			t.Errorf("ClassOf(%v) = %s, want %s", c.err, got, c.class)
		}
		if got := mstore.Retryable(c.err); got != c.retry {
			t.Errorf("Retryable(%v) = %v, want %v", c.err, got, c.retry)
		}
	}
}

// TestHints are what a person is told to do, for each kind of thing that one can do.
func TestHints(t *testing.T) {
	for _, c := range []struct {
		err  error
		want string
	}{
		{syscall.ENOSPC, "free some space"},
		{syscall.EROFS, "--store"},
		{fs.ErrPermission, "who owns"},
		{blobstore.ErrNewer, "update mstore"},
		{blobstore.ErrInsecure, "--shared"},
		{blobstore.ErrNotStore, "empty or new folder"},
		{blobstore.ErrRefused, "quarantine"},
		{&blobstore.MismatchError{}, "never stored"},
		{source.ErrAuth, "mstore login"},
		{source.ErrNotFound, "repository and the tag"},
		{source.ErrProtocol, "check the host"},
		{manifest.ErrNoPlatform, "--platform"},
		{&mstore.NotFoundError{Name: "m"}, "mstore list"},
		{context.DeadlineExceeded, "resumes"},
		{x509.UnknownAuthorityError{}, "certificate"},
		{fetch.ErrPinned, "its digest"},
		{context.Canceled, ""},
		{errors.New("who knows"), ""},
	} {
		got := mstore.Hint(fmt.Errorf("pull: %w", c.err))
		if c.want == "" && got != "" || !strings.Contains(got, c.want) {
			t.Errorf("Hint(%v) = %q, want %q in it", c.err, got, c.want)
		}
	}
}
