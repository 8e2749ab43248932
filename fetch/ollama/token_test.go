package ollama_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/mstore/mstore/fetch/guard"
	"github.com/mstore/mstore/fetch/ollama"
	"github.com/mstore/mstore/fetch/source"
	"github.com/mstore/mstore/fetch/sourcetest"
	"github.com/mstore/mstore/fetch/transfer"
	"github.com/mstore/mstore/internal/ollamatest"
)

func dialTo(host string) func(context.Context, string, string) (net.Conn, error) {
	return func(ctx context.Context, network, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, network, host)
	}
}

// TestToken: the registry verifies the signature. One token serves the manifest and all blobs; when it expires in their
// midst, one new one is asked for by all together.
func TestToken(t *testing.T) {
	file, key := ollamatest.NewKey(t)
	reg := ollamatest.Start(t, ollamatest.Options{Key: key})
	reg.Add("me/x:latest", weights, params)
	m := resolve(t, ollama.New(ollama.Options{KeyFile: file}), reg.Host+"/me/x", source.Options{})
	for want := 1; want <= 2; want++ {
		var wg sync.WaitGroup
		for i := range 8 {
			wg.Go(func() {
				layer := []ollamatest.Layer{weights, params}[i%2]
				if got, err := fetch(t, m, layer.Blob()); err != nil || string(got) != layer.Content {
					t.Errorf("%s: %d bytes, %v", layer.Type, len(got), err)
				}
			})
		}
		wg.Wait()
		if n := reg.Signed(); n != want {
			t.Errorf("%d tokens were signed for, want %d", n, want)
		}
		reg.ExpireTokens()
	}
}

// TestTokenRefused: without a key, with another, and with what is none, it is said which.
func TestTokenRefused(t *testing.T) {
	_, key := ollamatest.NewKey(t)
	other, _ := ollamatest.NewKey(t)
	broken := filepath.Join(t.TempDir(), "broken")
	if err := os.WriteFile(broken, []byte("\x1b[2J"), 0o600); err != nil {
		t.Fatal(err)
	}
	reg := ollamatest.Start(t, ollamatest.Options{Key: key})
	reg.Add("me/x:latest", params)
	for file, says := range map[string]string{
		filepath.Join(t.TempDir(), "none"): "there is no key ",
		other:                              "an unknown key",
		broken:                             "cannot be read",
	} {
		_, err := ollama.New(ollama.Options{KeyFile: file}).Resolve(t.Context(), reg.Host+"/me/x", source.Options{})
		if !errors.Is(err, source.ErrAuth) || !strings.Contains(err.Error(), says) || !strings.Contains(err.Error(), file) {
			t.Errorf("Resolve = %v, want source.ErrAuth that says %q of %s", err, says, file)
		}
	}
}

// TestOwnKey: without a word on it the key is Ollama's own, in the home folder.
func TestOwnKey(t *testing.T) {
	file, key := ollamatest.NewKey(t)
	home := t.TempDir()
	t.Setenv("HOME", home)
	t.Setenv("USERPROFILE", home)
	reg := ollamatest.Start(t, ollamatest.Options{Key: key})
	reg.Add("me/x:latest", params)
	_, err := ollama.New(ollama.Options{}).Resolve(t.Context(), reg.Host+"/me/x", source.Options{})
	if !errors.Is(err, source.ErrAuth) || !strings.Contains(err.Error(), "~/.ollama/id_ed25519") {
		t.Errorf("Resolve without a key = %v", err)
	}
	raw, err := os.ReadFile(file)
	if err == nil {
		err = os.Mkdir(filepath.Join(home, ".ollama"), 0o700)
	}
	if err == nil {
		err = os.WriteFile(filepath.Join(home, ".ollama", "id_ed25519"), raw, 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
	resolve(t, ollama.New(ollama.Options{}), reg.Host+"/me/x", source.Options{})
}

// TestSignatureStaysWithTheRegistry: nobody else is signed for.
func TestSignatureStaysWithTheRegistry(t *testing.T) {
	file, _ := ollamatest.NewKey(t)
	var asked []string
	evil := serve(t, func(w http.ResponseWriter, r *http.Request) {
		asked = append(asked, r.Header.Get("Authorization"))
		_, _ = fmt.Fprint(w, `{"token":"x"}`)
	})
	for _, realm := range []string{
		"http://" + evil + "/token", "http://localhost:1/token", "https://%s/token", "http://me:pw@%s/token", "file:///token",
		"http://%s.evil.example/token", "http://169.254.169.254/token", "//" + evil + "/token", "token", "http://[",
	} {
		host := serve(t, func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("WWW-Authenticate", `Bearer realm="`+strings.ReplaceAll(realm, "%s", r.Host)+`"`)
			w.WriteHeader(http.StatusUnauthorized)
		})
		_, err := ollama.New(ollama.Options{KeyFile: file}).Resolve(t.Context(), host+"/me/x", source.Options{})
		if !errors.Is(err, guard.ErrUntrusted) && !errors.Is(err, source.ErrProtocol) {
			t.Errorf("realm %s: %v, want guard.ErrUntrusted", realm, err)
		}
	}
	redirecting := serve(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/token" {
			http.Redirect(w, r, "http://"+evil+"/token", http.StatusFound)
			return
		}
		w.Header().Set("WWW-Authenticate", `Bearer realm="http://`+r.Host+`/token"`)
		w.WriteHeader(http.StatusUnauthorized)
	})
	_, err := ollama.New(ollama.Options{KeyFile: file}).Resolve(t.Context(), redirecting+"/me/x", source.Options{})
	if !errors.Is(err, source.ErrAuth) {
		t.Errorf("a token of another server is no token: %v", err)
	}
	for _, a := range asked {
		if a != "" {
			t.Errorf("another server was sent %q", a)
		}
	}
}

// TestTokenServers: what a token server may answer beside a token.
func TestTokenServers(t *testing.T) {
	file, _ := ollamatest.NewKey(t)
	for name, c := range map[string]struct {
		challenge string
		answer    http.HandlerFunc
		want      error
	}{
		"no JSON":         {"", func(w http.ResponseWriter, _ *http.Request) { _, _ = fmt.Fprint(w, "x") }, source.ErrProtocol},
		"no token":        {"", func(w http.ResponseWriter, _ *http.Request) { _, _ = fmt.Fprint(w, `{}`) }, source.ErrProtocol},
		"a header":        {"", func(w http.ResponseWriter, _ *http.Request) { _, _ = fmt.Fprint(w, `{"token":"x\r\nCookie: y"}`) }, source.ErrProtocol},
		"another 401":     {"", func(w http.ResponseWriter, _ *http.Request) { _, _ = fmt.Fprint(w, `{"token":"x"}`) }, source.ErrAuth},
		"no such place":   {"", http.NotFound, source.ErrAuth},
		"no challenge":    {"-", nil, source.ErrAuth},
		"a password":      {`Basic realm="x"`, nil, source.ErrAuth},
		"an odd one":      {`Bearer realm`, nil, source.ErrAuth},
		"an odd one more": {`Bearer realm="`, nil, source.ErrAuth},
	} {
		host := serve(t, func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path == "/token" {
				c.answer(w, r)
				return
			}
			challenge := c.challenge
			if challenge == "" {
				challenge = `Negotiate, x`
				w.Header().Add("WWW-Authenticate", challenge)
				challenge = `bearer  service=ollama.com , realm="http://` + r.Host + `/token"`
			}
			w.Header().Add("WWW-Authenticate", challenge)
			w.WriteHeader(http.StatusUnauthorized)
		})
		_, err := ollama.New(ollama.Options{KeyFile: file}).Resolve(t.Context(), host+"/me/x", source.Options{Transfer: sourcetest.Quick()})
		if !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", name, err, c.want)
		}
	}
	var asked int
	host := serve(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/token" {
			asked++
			http.Error(w, "busy", http.StatusServiceUnavailable)
			return
		}
		w.Header().Set("WWW-Authenticate", `Bearer realm="http://`+r.Host+`/token"`)
		w.WriteHeader(http.StatusUnauthorized)
	})
	_, err := ollama.New(ollama.Options{KeyFile: file}).Resolve(t.Context(), host+"/me/x", source.Options{Transfer: sourcetest.Quick()})
	if _, ok := errors.AsType[*transfer.StatusError](err); !ok || asked != 3 {
		t.Errorf("a token server that is busy was asked %d times: %v", asked, err)
	}
}
