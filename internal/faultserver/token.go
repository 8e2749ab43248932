package faultserver

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"time"
)

const tokenPath = "/token"

// grant is a token or a signed link: something that is good for a while.
type grant struct {
	uses  int
	until time.Time
}

// take uses a grant once; a missing one is not good.
func (g *grant) take(uses int) bool {
	if g == nil || uses > 0 && g.uses >= uses || !g.until.IsZero() && time.Now().After(g.until) {
		return false
	}
	g.uses++
	return true
}

func newGrant(ttl time.Duration) *grant {
	if ttl <= 0 {
		return &grant{}
	}
	return &grant{until: time.Now().Add(ttl)}
}

// takeToken uses the token of an Authorization header.
func (s *Server) takeToken(authorization string) bool {
	token, ok := strings.CutPrefix(authorization, "Bearer ")
	s.mu.Lock()
	defer s.mu.Unlock()
	return ok && s.tokens[token].take(s.opts.Token.Uses)
}

// revokeTokens makes all tokens bad that were given so far.
func (s *Server) revokeTokens() {
	s.mu.Lock()
	clear(s.tokens)
	s.mu.Unlock()
}

// challenge is the 401 that says where tokens are given.
func (s *Server) challenge(x *exchange) *reply {
	value := fmt.Sprintf(`Bearer realm="%s",service="faultserver"`, s.first.url(tokenPath))
	if name := x.repository(); name != "" {
		value += fmt.Sprintf(`,scope="repository:%s:pull"`, name)
	}
	if x.r.Header.Get("Authorization") != "" {
		value += `,error="invalid_token"`
	}
	return text(http.StatusUnauthorized, "application/json", `{"errors":[{"code":"UNAUTHORIZED","message":"a token is needed"}]}`,
		field{"WWW-Authenticate", value})
}

// giveToken answers GET /token.
func (s *Server) giveToken(x *exchange) *reply {
	if s.opts.Token == nil {
		return text(http.StatusNotFound, "text/plain", "no tokens here")
	}
	user, password, _ := x.r.BasicAuth()
	if s.opts.Token.User != "" && (user != s.opts.Token.User || password != s.opts.Token.Password) {
		return text(http.StatusUnauthorized, "application/json", `{"errors":[{"code":"UNAUTHORIZED","message":"wrong name or password"}]}`)
	}
	s.mu.Lock()
	token := fmt.Sprintf("token-%d", s.next())
	s.tokens[token] = newGrant(s.opts.Token.TTL)
	s.mu.Unlock()
	answer := map[string]any{"token": token, "access_token": token}
	if s.opts.Token.TTL > 0 {
		answer["expires_in"] = int(s.opts.Token.TTL / time.Second)
	}
	raw, _ := json.Marshal(answer) // it cannot fail for strings and numbers
	return text(http.StatusOK, "application/json", string(raw))
}

// next is a number that was not given before. The caller holds mu.
func (s *Server) next() int {
	s.issued++
	return s.issued
}

// redirect sends a request on to the second host, by a link that is good for as long as the options say.
func (s *Server) redirect(x *exchange) *reply {
	s.mu.Lock()
	signature := fmt.Sprintf("signature-%d", s.next())
	s.links[signature] = newGrant(s.opts.Redirect.TTL)
	s.mu.Unlock()
	status := s.opts.Redirect.Status
	if status == 0 {
		status = http.StatusTemporaryRedirect
	}
	return text(status, "text/plain", "elsewhere", field{"Location", s.second.url(x.r.URL.EscapedPath()) + "?signature=" + signature})
}

// linked uses the signed link of a request.
func (s *Server) linked(x *exchange) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.links[x.r.URL.Query().Get("signature")].take(s.opts.Redirect.Uses)
}

// revokeLinks makes all links bad that were given so far.
func (s *Server) revokeLinks() {
	s.mu.Lock()
	clear(s.links)
	s.mu.Unlock()
}
