package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"io"
	"log"
	"math/big"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/mstore/mstore/internal/faultserver"
	"github.com/mstore/mstore/internal/hubtest"
	"github.com/mstore/mstore/internal/ollamatest"
	"github.com/mstore/mstore/internal/registrytest"
)

// TestReadme runs every line of README.md that begins with "$ mstore", in their order, as they stand there. What they
// say of the world is true in it: huggingface.co, registry.ollama.ai, ghcr.io, a registry of one's own and a web server
// are there, by their names and with TLS, behind the proxy that the environment names; each is a server on loopback
// that speaks the protocol. A line below a command is what it prints.
func TestReadme(t *testing.T) {
	readme, err := os.ReadFile(filepath.Join("..", "..", "README.md"))
	if err != nil {
		t.Fatal(err)
	}
	home := newHome(t)
	commands := consoleLines(string(readme))
	if len(commands) < 20 {
		t.Fatalf("%d commands in README.md", len(commands))
	}
	for _, c := range commands {
		out, err := home.run(t, c.line)
		if err != nil {
			t.Errorf("%s: %v", c.line, err)
		}
		if c.prints != "" && !home.expects(c.prints).MatchString(out) {
			t.Errorf("%s prints %q, not %q", c.line, out, c.prints)
		}
	}
}

// TestReadmeNamesCommands: what README.md calls `mstore WORD` in its text is a command.
func TestReadmeNamesCommands(t *testing.T) {
	readme, err := os.ReadFile(filepath.Join("..", "..", "README.md"))
	if err != nil {
		t.Fatal(err)
	}
	names := regexp.MustCompile("`mstore ([a-z]+)").FindAllStringSubmatch(string(readme), -1)
	if len(names) == 0 {
		t.Fatal("none found")
	}
	for _, name := range names {
		if err := exec.Command("mstore", name[1], "--help").Run(); err != nil {
			t.Errorf("mstore %s: %v", name[1], err)
		}
	}
}

// consoleLine is a line of a console, and what it says that is printed.
type consoleLine struct{ line, prints string }

// consoleLines are the mstore commands of the console blocks of a text.
func consoleLines(text string) []consoleLine {
	var all []consoleLine
	for _, block := range regexp.MustCompile("(?s)```console\n(.*?)```").FindAllStringSubmatch(text, -1) {
		for line := range strings.Lines(block[1]) {
			if typed, ok := strings.CutPrefix(line, "$ "); ok {
				all = append(all, consoleLine{line: strings.TrimSpace(typed)})
			} else {
				all[len(all)-1].prints += line
			}
		}
	}
	mine := all[:0]
	for _, c := range all {
		if strings.HasPrefix(c.line, "mstore ") {
			mine = append(mine, c)
		}
	}
	return mine
}

// home is a home folder, and the world as one sees it from there.
type home struct {
	dir string
	env []string
}

// run types a line, and returns what was printed on standard output.
func (h *home) run(t *testing.T, line string) (string, error) {
	t.Helper()
	cmd := exec.Command("sh", "-c", line)
	cmd.Dir, cmd.Env = h.dir, h.env
	var errs strings.Builder
	cmd.Stderr = &errs
	out, err := cmd.Output()
	t.Logf("$ %s\n%s%s", line, out, errs.String())
	return string(out), err
}

// expects is a pattern for what README.md says that is printed: the home folder is another, and digests are shortened.
func (h *home) expects(prints string) *regexp.Regexp {
	pattern := regexp.QuoteMeta(strings.ReplaceAll(prints, "/home/you", h.dir))
	return regexp.MustCompile("^" + regexp.MustCompile(`[0-9a-f]+\\\.\\\.\\\.`).ReplaceAllString(pattern, "[0-9a-f]{64}") + "$")
}

// newHome makes the world, and a home in it with what the lines of README.md rely on: a folder ./my-model, a list
// models.txt, a program my-runtime, and models of Hugging Face's tools and of Ollama.
func newHome(t *testing.T) *home {
	t.Helper()
	h := &home{dir: t.TempDir()}
	registry := registrytest.Start(t, registrytest.Options{}).Host
	bin := filepath.Join(h.dir, "bin")
	h.env = append(newInternet(t, registry), "HOME="+h.dir, "PATH="+bin+":"+os.Getenv("PATH"), "DOCKER_CONFIG="+h.dir)
	for name, text := range map[string]string{
		"my-model/model.safetensors": "weights", "my-model/config.json": "{}",
		"models.txt":     "ghcr.io/org/model:v1 --as one\nhf://org/model --include config.json --as two # a comment\n",
		"bin/my-runtime": "#!/bin/sh\ntest -f \"$MSTORE_MODEL/config.json\"\n",
	} {
		path := filepath.Join(h.dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	for _, line := range []string{
		"mstore --store elsewhere import my-model --as org/model:v1",
		"mstore --store elsewhere push org/model:v1 " + registry + "/org/model:v1",
		"mstore --store elsewhere export org/model:v1 .cache/huggingface/hub --layout hf --mode copy",
		"mstore --store elsewhere pull ollama://me/other",
		"mstore --store elsewhere export ollama.com/me/other .ollama/models --layout ollama --mode copy",
	} {
		if _, err := h.run(t, line); err != nil {
			t.Fatalf("%s: %v", line, err)
		}
	}
	return h
}

// newInternet starts the servers, and returns the environment in which they have their names.
func newInternet(t *testing.T, registry string) []string {
	t.Helper()
	hub := hubtest.Start(t, hubtest.Options{}, theRepos()...)
	hub.Commit("org/model", "v1.0", hubtest.Text("config.json", `{"model_type":"old"}`), hubtest.LFS("model.safetensors", "old weights"))
	models := ollamatest.Start(t, ollamatest.Options{})
	models.Add("library/llama3.2:latest", theLayers()...)
	models.Add("me/other:latest", theLayers()...)
	hosts := map[string]http.Handler{
		"huggingface.co":      to(strings.TrimPrefix(hub.Endpoint, "http://")),
		"registry.ollama.ai":  to(models.Host),
		"ghcr.io":             to(registry),
		"registry.local:5000": to(registry),
		"example.com":         &website{content: gguf},
	}
	names := []string{"huggingface.co", "registry.ollama.ai", "ghcr.io", "registry.local", "example.com", "*.example.net"}
	srv := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if port, ok := strings.CutSuffix(r.Host, ".example.net"); ok {
			to("127.0.0.1:"+port).ServeHTTP(w, r)
		} else if next := hosts[r.Host]; next != nil {
			next.ServeHTTP(w, r)
		} else {
			http.Error(w, "no such host", http.StatusBadGateway)
		}
	}))
	cert, authority := newCertificate(t, names)
	srv.TLS = &tls.Config{Certificates: []tls.Certificate{cert}, MinVersion: tls.VersionTLS12}
	srv.StartTLS()
	t.Cleanup(srv.Close)
	proxy, err := faultserver.Proxy(srv.Listener.Addr().String(), faultserver.ProxyOptions{Connect: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = proxy.Close() })
	return []string{"HTTPS_PROXY=http://" + proxy.Host(), "SSL_CERT_FILE=" + authority}
}

// to passes requests on to a server on loopback. Where that one sends to another, on port N, it is N.example.net.
func to(host string) http.Handler {
	loopback := regexp.MustCompile(`http://127\.0\.0\.1:([0-9]+)`)
	return &httputil.ReverseProxy{
		Rewrite: func(r *httputil.ProxyRequest) {
			r.SetURL(&url.URL{Scheme: "http", Host: host})
			r.Out.Host = r.In.Host
			r.SetXForwarded()
		},
		ModifyResponse: func(r *http.Response) error {
			if at := r.Header.Get("Location"); at != "" {
				r.Header.Set("Location", loopback.ReplaceAllString(at, "https://$1.example.net"))
			}
			return nil
		},
		ErrorLog: log.New(io.Discard, "", 0),
	}
}

// newCertificate makes a certificate for hosts, and the file by which it is trusted.
func newCertificate(t *testing.T, hosts []string) (cert tls.Certificate, file string) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), DNSNames: hosts, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	file = filepath.Join(t.TempDir(), "authority.pem")
	if err := os.WriteFile(file, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), 0o600); err != nil {
		t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, file
}
