package registrytest

import (
	"crypto/ed25519"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"time"
)

// What the registry and its token server agree on.
const (
	service = "registrytest registry"
	issuer  = "registrytest"
	keyID   = "registrytest"
)

// Tokens is the token server of a registry: it answers as the distribution token specification says, with JWTs that
// the registry checks. Everybody may pull, [User] may push; a wrong password is refused.
type Tokens struct {
	server *httptest.Server
	public ed25519.PublicKey
	key    ed25519.PrivateKey

	mu     sync.Mutex
	issued []string
}

func serveTokens() (*Tokens, error) {
	public, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return nil, err
	}
	t := &Tokens{public: public, key: key}
	t.server = httptest.NewServer(t)
	return t, nil
}

// Host is the host and port of the token server.
func (t *Tokens) Host() string { return strings.TrimPrefix(t.server.URL, "http://") }

// Issued are the scopes of the tokens that were given so far, in order.
func (t *Tokens) Issued() []string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return append([]string(nil), t.issued...)
}

// ServeHTTP answers GET /token.
func (t *Tokens) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	user, password, known := r.BasicAuth()
	if known && (user != User || password != Password) {
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(http.StatusUnauthorized)
		_, _ = w.Write([]byte(`{"errors":[{"code":"UNAUTHORIZED","message":"wrong name or password"}]}`))
		return
	}
	token, err := t.sign(user, access(r.URL.Query(), known))
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	t.mu.Lock()
	t.issued = append(t.issued, strings.Join(r.URL.Query()["scope"], " "))
	t.mu.Unlock()
	_ = json.NewEncoder(w).Encode(map[string]any{"token": token, "expires_in": 300})
}

// grant is one entry of a token's access claim.
type grant struct {
	Type    string   `json:"type"`
	Name    string   `json:"name"`
	Actions []string `json:"actions"`
}

// access is what of the scopes asked for is granted.
func access(query url.Values, known bool) []grant {
	grants := []grant{}
	for _, scope := range query["scope"] {
		kind, rest, _ := strings.Cut(scope, ":")
		last := strings.LastIndexByte(rest, ':')
		if kind != "repository" || last < 0 {
			continue
		}
		g := grant{Type: kind, Name: rest[:last], Actions: []string{}}
		for action := range strings.SplitSeq(rest[last+1:], ",") {
			if action == "pull" || known {
				g.Actions = append(g.Actions, action)
			}
		}
		grants = append(grants, g)
	}
	return grants
}

// sign makes a JWT.
func (t *Tokens) sign(user string, grants []grant) (string, error) {
	now := time.Now()
	header, err := json.Marshal(map[string]string{"alg": "EdDSA", "typ": "JWT", "kid": keyID})
	if err != nil {
		return "", err
	}
	claims, err := json.Marshal(map[string]any{
		"iss": issuer, "sub": user, "aud": service, "access": grants, "jti": rand.Text(),
		"iat": now.Unix(), "nbf": now.Unix(), "exp": now.Add(5 * time.Minute).Unix(),
	})
	if err != nil {
		return "", err
	}
	text := base64.RawURLEncoding.EncodeToString(header) + "." + base64.RawURLEncoding.EncodeToString(claims)
	return text + "." + base64.RawURLEncoding.EncodeToString(ed25519.Sign(t.key, []byte(text))), nil
}

// jwks is the public key as the registry reads it.
func (t *Tokens) jwks() []byte {
	x := base64.RawURLEncoding.EncodeToString(t.public)
	return []byte(`{"keys":[{"kty":"OKP","crv":"Ed25519","use":"sig","alg":"EdDSA","kid":"` + keyID + `","x":"` + x + `"}]}`)
}
