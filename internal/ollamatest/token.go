package ollamatest

import (
	"crypto/ed25519"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"
)

// NewKey makes a key and the file of it that a client reads.
func NewKey(t *testing.T) (file string, key ssh.PublicKey) {
	t.Helper()
	public, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	block, err := ssh.MarshalPrivateKey(private, "")
	if err != nil {
		t.Fatal(err)
	}
	if key, err = ssh.NewPublicKey(public); err != nil {
		t.Fatal(err)
	}
	file = filepath.Join(t.TempDir(), "id_ed25519")
	if err := os.WriteFile(file, pem.EncodeToMemory(block), 0o600); err != nil {
		t.Fatal(err)
	}
	return file, key
}

// giveToken answers who has signed as Ollama does. It is called with the lock held.
func (r *Registry) giveToken(w http.ResponseWriter, req *http.Request) {
	if err := r.verify(req); err != nil {
		refuse(w, http.StatusUnauthorized, "UNAUTHORIZED", err.Error())
		return
	}
	r.signed++
	_ = json.NewEncoder(w).Encode(map[string]string{"token": fmt.Sprint("token-", r.token)})
}

// verify checks a signature over the whole URL, and that it is made for now and once.
func (r *Registry) verify(req *http.Request) error {
	const skew = 5 * time.Minute
	query := req.URL.Query()
	ts, err := strconv.ParseInt(query.Get("ts"), 10, 64)
	age := time.Since(time.Unix(ts, 0)).Abs()
	nonce, err2 := base64.RawURLEncoding.DecodeString(query.Get("nonce"))
	switch {
	case r.opts.Key == nil:
		return nil
	case err != nil || age > skew:
		return fmt.Errorf("ts %q", query.Get("ts"))
	case err2 != nil || len(nonce) != 16 || r.nonces[string(nonce)]:
		return fmt.Errorf("nonce %q", query.Get("nonce"))
	case query.Get("service") != "ollama.com" || len(query["scope"]) != 2:
		return fmt.Errorf("service %q, scope %q", query.Get("service"), query["scope"])
	}
	r.nonces[string(nonce)] = true
	key, signature, _ := strings.Cut(req.Header.Get("Authorization"), ":")
	if key != base64.StdEncoding.EncodeToString(r.opts.Key.Marshal()) {
		return fmt.Errorf("an unknown key")
	}
	blob, err := base64.StdEncoding.DecodeString(signature)
	if err != nil {
		return err
	}
	body := base64.StdEncoding.EncodeToString(fmt.Appendf(nil, "%x", sha256.Sum256(nil)))
	signed := fmt.Sprintf("GET,http://%s%s,%s", req.Host, req.URL.RequestURI(), body)
	return r.opts.Key.Verify([]byte(signed), &ssh.Signature{Format: r.opts.Key.Type(), Blob: blob})
}
