package mstore_test

import (
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"

	"github.com/mstore/mstore"
	"github.com/mstore/mstore/internal/registrytest"
)

// closedPort is an address where nobody listens.
func closedPort(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	try(t, err, l.Close())
	return l.Addr().String()
}

// serving runs a handler and gives its host.
func serving(t *testing.T, h http.HandlerFunc) string {
	t.Helper()
	srv := httptest.NewServer(h)
	t.Cleanup(srv.Close)
	return strings.TrimPrefix(srv.URL, "http://")
}

// selfSigned is a registry whose certificate nobody knows.
func selfSigned(t *testing.T) string {
	t.Helper()
	srv := httptest.NewUnstartedServer(http.NotFoundHandler())
	srv.Config.ErrorLog = log.New(io.Discard, "", 0)
	srv.StartTLS()
	t.Cleanup(srv.Close)
	return strings.TrimPrefix(srv.URL, "https://")
}

func html(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "text/html")
	_, _ = w.Write([]byte("<html>\x1b[2Jhello</html>"))
}

func TestReferencesThatAreNone(t *testing.T) {
	s := newStore(t)
	long, host := strings.Repeat("a", 300), fixtures.registry()
	for _, typed := range []string{
		"", " ", "https://", "https:///x", "hf://", "hf://org/na/me", "hf.co/datasets/org/name", "ollama://", "ollama://a/b/c/d", "ollama://a@b", "s3://b/k", "oci://", "oci://host", "oci:///x",
		"ftp://x/y", "://x", "-flag", " name", "a\x00b", "a\nb", "a\x1b[2Jb", "a\u202eb", long, "name@sha256:x", "name:v1@sha256:" + long[:63],
		host + "/UPPER/case", host + "/m:", host + "/m:" + long, host + "/m@sha256:x", host + "/", host + "/m//n", host + "/../m", "UPPER.example/x y",
		"oci-layout:" + t.TempDir() + ":",
	} {
		changesNothing(t, typed, s, mstore.ErrUsage, func() error {
			_, err := s.Pull(t.Context(), typed, once)
			return err
		})
	}
	for _, typed := range []string{"name", "name:v1", "org/name", "a b/c", "name ", "localhost", "ghcr.io", "host:5000", "name@v1", "sha256:abc"} {
		changesNothing(t, typed, s, mstore.ErrNotFound, func() error {
			_, err := s.Pull(t.Context(), typed, once)
			if err != nil && mstore.Hint(err) == "" {
				t.Errorf("%s: no hint for %v", typed, err)
			}
			return err
		})
	}
	load(t, s, small(t, 1), "good")
}

// TestWhatIsNotThere asks for things of good form, of places that do not have them or cannot be spoken to.
func TestWhatIsNotThere(t *testing.T) {
	ref, basic := repo(t), registrytest.Start(t, registrytest.Options{Basic: true})
	publish(t, small(t, 1), ref+":v1")
	layout := newStore(t)
	load(t, layout, small(t, 1), "m:v1")
	empty := t.TempDir()
	pipe := filepath.Join(t.TempDir(), "pipe")
	try(t, mkfifo(pipe))
	s := newStore(t)
	for name, c := range map[string]struct {
		ref  string
		want mstore.Class
	}{
		"no such tag":                {ref + ":v2", mstore.ErrNotFound},
		"no such digest":             {ref + "@" + digest.FromString("x").String(), mstore.ErrNotFound},
		"no such repository":         {ref + "/none:v1", mstore.ErrNotFound},
		"registry down":              {closedPort(t) + "/m:v1", mstore.ErrNetwork},
		"registry down, with scheme": {"oci://" + closedPort(t) + "/m:v1", mstore.ErrNetwork},
		"no such host":               {"registry.invalid/m:v1", mstore.ErrNetwork},
		"answers HTML":               {serving(t, html) + "/m:v1", mstore.ErrNetwork},
		"answers 404 to everything":  {serving(t, http.NotFound) + "/m:v1", mstore.ErrNetwork},
		"wants auth":                 {basic.Host + "/m:v1", mstore.ErrAuthentication},
		"self-signed":                {selfSigned(t) + "/m:v1", mstore.ErrNetwork},
		"no such file":               {"file:" + empty + "/none", mstore.ErrNotFound},
		"no such folder":             {"file:" + empty + "/none/none", mstore.ErrNotFound},
		"a pipe":                     {"file:" + pipe, mstore.ErrUsage},
		"a device":                   {"file:/dev/zero", mstore.ErrUsage},
		"an empty folder":            {"file:" + empty, mstore.ErrUsage},
		"no layout":                  {"oci-layout:" + empty, mstore.ErrUsage},
		"no such layout":             {"oci-layout:" + empty + "/none", mstore.ErrNotFound},
		"no such tag in a layout":    {"oci-layout:" + layout.Dir() + ":m:v2", mstore.ErrNotFound},
	} {
		changesNothing(t, name, s, c.want, func() error {
			_, err := s.Pull(t.Context(), c.ref, once)
			return err
		})
	}
	pull(t, s, ref+":v1", once)
}

func TestPushesThatCannotBe(t *testing.T) {
	s, basic := newStore(t), registrytest.Start(t, registrytest.Options{Basic: true})
	readOnly := registrytest.Start(t, registrytest.Options{ReadOnly: true})
	load(t, s, small(t, 1), "m")
	for name, c := range map[string]struct {
		name, ref string
		want      mstore.Class
	}{
		"no such model":       {"none", repo(t), mstore.ErrNotFound},
		"no name":             {"", repo(t), mstore.ErrUsage},
		"no registry":         {"m", "other", mstore.ErrUsage},
		"a folder":            {"m", "file:/tmp/x", mstore.ErrUsage},
		"a layout":            {"m", "oci-layout:/tmp/x", mstore.ErrUsage},
		"https":               {"m", "https://host/x", mstore.ErrUsage},
		"upper case":          {"m", fixtures.registry() + "/Up/x", mstore.ErrUsage},
		"registry down":       {"m", closedPort(t) + "/m:v1", mstore.ErrNetwork},
		"answers HTML":        {"m", serving(t, html) + "/m:v1", mstore.ErrNetwork},
		"wants auth":          {"m", basic.Host + "/m:v1", mstore.ErrAuthentication},
		"self-signed":         {"m", selfSigned(t) + "/m:v1", mstore.ErrNetwork},
		"a digest of another": {"m", repo(t) + "@" + digest.FromString("x").String(), mstore.ErrVerification},
	} {
		changesNothing(t, name, s, c.want, func() error {
			_, err := s.Push(t.Context(), c.name, c.ref, mstore.PushOptions{Retries: -1})
			return err
		})
	}
	_, err := s.Push(t.Context(), "m", readOnly.Host+"/m:v1", mstore.PushOptions{Retries: -1})
	if err == nil || mstore.ClassOf(err) == mstore.ErrInternal {
		t.Errorf("push to a registry that is read-only: %s: %v", mstore.ClassOf(err), err)
	}
	push(t, s, "m", repo(t)+":v1")
}

func TestImportsThatCannotBe(t *testing.T) {
	s, dir := newStore(t), small(t, 1)
	one, two := folder(t, map[string]string{"a": "1"}), folder(t, map[string]string{"A": "2"})
	odd := folder(t, map[string]string{"a": "1"})
	try(t, mkfifo(filepath.Join(odd, "pipe")))
	looped := folder(t, map[string]string{"a": "1"})
	try(t, os.Symlink(".", filepath.Join(looped, "loop")))
	named := folder(t, map[string]string{"CON": "1"})
	for name, c := range map[string]struct {
		paths []string
		as    string
		want  mstore.Class
	}{
		"no path":                {nil, "m", mstore.ErrUsage},
		"no name":                {[]string{dir}, "", mstore.ErrUsage},
		"a name with a digest":   {[]string{dir}, "m:v1@" + digest.FromString("x").String(), mstore.ErrUsage},
		"a name with a bad one":  {[]string{dir}, "m@sha256:x", mstore.ErrUsage},
		"no such path":           {[]string{dir, dir + "/none"}, "m", mstore.ErrNotFound},
		"two of one name":        {[]string{one, two}, "m", mstore.ErrUsage},
		"a pipe in it":           {[]string{odd}, "m", mstore.ErrUsage},
		"a link to a folder":     {[]string{looped}, "m", mstore.ErrUsage},
		"a name that is no name": {[]string{named}, "m", mstore.ErrUsage},
		"an empty folder":        {[]string{t.TempDir()}, "m", mstore.ErrUsage},
		"an empty path":          {[]string{""}, "m", mstore.ErrUsage},
	} {
		changesNothing(t, name, s, c.want, func() error {
			_, err := s.Import(t.Context(), c.paths, c.as, mstore.ImportOptions{})
			return err
		})
	}
	load(t, s, dir, "m")
}
