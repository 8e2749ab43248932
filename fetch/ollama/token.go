package ollama

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/mstore/mstore/fetch/guard"
	"github.com/mstore/mstore/fetch/source"
	"github.com/mstore/mstore/fetch/transfer"
)

const (
	maxToken   = 64 << 10 // bytes of the answer that has one in it
	nonceBytes = 16
	ownKey     = ".ollama/id_ed25519" // below the home folder
)

// send sends a request with the token that it takes. A token that is refused, or missing, is asked for once; several
// requests that are refused together share the new one.
func (r *repository) send(req *http.Request) (*http.Response, error) {
	ctx := req.Context()
	token, err := r.hold(ctx)
	if err != nil {
		return nil, err
	}
	r.token <- token
	resp, err := r.once(req, token)
	if err != nil || resp.StatusCode != http.StatusUnauthorized || !guard.SameOrigin(resp.Request.URL, r.base) {
		return resp, err
	}
	asks, ok := parseChallenge(resp.Header.Values("WWW-Authenticate"))
	if !ok {
		return resp, nil // Fail says so
	}
	_ = resp.Body.Close()
	if token, err = r.renew(ctx, asks, token); err != nil {
		return nil, err
	}
	return r.once(req, token)
}

// hold takes the token, for who puts it or another one back.
func (r *repository) hold(ctx context.Context) (string, error) {
	select {
	case token := <-r.token:
		return token, nil
	case <-ctx.Done():
		return "", context.Cause(ctx)
	}
}

// renew is the token after used was refused: the one that somebody else has got meanwhile, or a new one.
func (r *repository) renew(ctx context.Context, asks challenge, used string) (string, error) {
	token, err := r.hold(ctx)
	if err != nil {
		return "", err
	}
	defer func() { r.token <- token }()
	if token != used {
		return token, nil
	}
	fresh, err := r.askToken(ctx, asks)
	if err != nil {
		return "", err
	}
	token = fresh
	return token, nil
}

// askToken asks the registry for a token, and signs for it.
func (r *repository) askToken(ctx context.Context, asks challenge) (string, error) {
	to, err := asks.url(r.base)
	if err != nil {
		return "", err
	}
	sign, err := r.c.key()
	if err != nil {
		return "", fmt.Errorf("%w: %s wants to know who is asking, and %w", source.ErrAuth, r.base.Host, err)
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, to, http.NoBody)
	if err != nil {
		return "", err
	}
	nothing := sha256.Sum256(nil) // of the body of the request
	signature, err := sign.Sign(rand.Reader, fmt.Appendf(nil, "%s,%s,%s", req.Method, to,
		base64.StdEncoding.EncodeToString([]byte(hex.EncodeToString(nothing[:])))))
	if err != nil {
		return "", fmt.Errorf("sign with %s: %w", r.c.keyName(), err)
	}
	req.Header.Set("Authorization", base64.StdEncoding.EncodeToString(sign.PublicKey().Marshal())+":"+
		base64.StdEncoding.EncodeToString(signature.Blob))
	resp, err := r.once(req, "")
	if err != nil {
		return "", err
	}
	if resp.StatusCode != http.StatusOK {
		status := transfer.NewStatusError(resp, explain)
		if transfer.Retryable(status) {
			return "", status
		}
		return "", fmt.Errorf("a token for %s: %w (%s): %w", r.ref.Name(), source.ErrAuth, r.story(resp), status)
	}
	defer func() { _ = resp.Body.Close() }()
	var answer struct {
		Token string `json:"token"`
	}
	err = json.NewDecoder(io.LimitReader(resp.Body, maxToken)).Decode(&answer)
	if err != nil || answer.Token == "" || strings.ContainsFunc(answer.Token, func(c rune) bool { return c <= ' ' || c > '~' }) {
		return "", fmt.Errorf("%s: %w: it answers without a token", r.base.Host, errNotOllama)
	}
	return answer.Token, nil
}

// challenge is what a registry asks for that wants to know who is asking.
type challenge struct{ realm, service, scope string }

// parseChallenge finds the Bearer challenge among WWW-Authenticate headers.
func parseChallenge(headers []string) (c challenge, ok bool) {
	for _, h := range headers {
		scheme, rest, _ := strings.Cut(strings.TrimSpace(h), " ")
		if !strings.EqualFold(scheme, "Bearer") {
			continue
		}
		for rest != "" {
			var key, value string
			key, rest, _ = strings.Cut(rest, "=")
			if quoted, isQuoted := strings.CutPrefix(rest, `"`); isQuoted {
				value, rest, _ = strings.Cut(quoted, `"`)
				_, rest, _ = strings.Cut(rest, ",")
			} else {
				value, rest, _ = strings.Cut(rest, ",")
			}
			switch strings.ToLower(strings.TrimSpace(key)) {
			case "realm":
				c.realm = value
			case "service":
				c.service = value
			case "scope":
				c.scope = value
			}
		}
		return c, c.realm != ""
	}
	return challenge{}, false
}

// url is where the token is had, with a time and a number that are used once. It must be of the registry itself: a
// signature is worth a token to whoever gets it first.
func (c challenge) url(home *url.URL) (string, error) {
	to, err := url.Parse(c.realm)
	if err != nil {
		return "", fmt.Errorf("%s: %w: its token server has no address", home.Host, errNotOllama)
	}
	if !guard.SameOrigin(to, home) || to.User != nil {
		return "", fmt.Errorf("%w: %s wants a signature sent to %s, which is not the registry itself",
			guard.ErrUntrusted, home.Host, transfer.RedactURL(to))
	}
	nonce := make([]byte, nonceBytes)
	_, _ = rand.Read(nonce) // it has no error
	query := to.Query()
	query.Add("service", c.service)
	for scope := range strings.FieldsSeq(c.scope) {
		query.Add("scope", scope)
	}
	query.Add("ts", strconv.FormatInt(time.Now().Unix(), 10))
	query.Add("nonce", base64.RawURLEncoding.EncodeToString(nonce))
	to.RawQuery, to.Fragment = query.Encode(), ""
	return to.String(), nil
}

// key reads the private key.
func (c *Client) key() (ssh.Signer, error) {
	path := c.opts.KeyFile
	if path == "" {
		home, err := os.UserHomeDir()
		if err != nil {
			return nil, fmt.Errorf("there is no home folder to find a key in: %w", err)
		}
		path = filepath.Join(home, filepath.FromSlash(ownKey))
	}
	raw, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("there is no key %s; ollama makes one when it is first run", c.keyName())
	}
	var key ssh.Signer
	if err == nil {
		key, err = ssh.ParsePrivateKey(raw)
	}
	if err != nil {
		return nil, fmt.Errorf("the key %s cannot be read: %s", c.keyName(), transfer.Clean(err.Error()))
	}
	return key, nil
}

// keyName is the key's file as a person finds it.
func (c *Client) keyName() string {
	if c.opts.KeyFile == "" {
		return "~/" + ownKey
	}
	return transfer.Clean(c.opts.KeyFile)
}
