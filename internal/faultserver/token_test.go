package faultserver_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"regexp"
	"testing"
	"time"

	"github.com/mstore/mstore/internal/faultserver"
)

// token asks for the token that a 401 wants; empty when it wants none.
func token(t *testing.T, c *http.Client, resp *http.Response, userPassword ...string) string {
	t.Helper()
	m := regexp.MustCompile(`^Bearer realm="([^"]+)"`).FindStringSubmatch(resp.Header.Get("WWW-Authenticate"))
	if m == nil {
		return ""
	}
	var header []string
	if len(userPassword) == 2 {
		req := httptest.NewRequest(http.MethodGet, "/", http.NoBody)
		req.SetBasicAuth(userPassword[0], userPassword[1])
		header = []string{"Authorization", req.Header.Get("Authorization")}
	}
	g := ask(t, c, m[1], header...)
	var answer struct {
		Token string `json:"token"`
	}
	if g.Response != nil {
		_ = json.Unmarshal(g.body, &answer)
	}
	return answer.Token
}

func TestTokens(t *testing.T) {
	s := serve(t, faultserver.Options{Token: &faultserver.Token{User: "alice", Password: "secret", Uses: 2}})
	c := client(t, s)
	refused := ask(t, c, s.URL(path))
	if refused.StatusCode != 401 || token(t, c, refused.Response) != "" || token(t, c, refused.Response, "alice", "wrong") != "" {
		t.Fatalf("a token was given to anybody: %v", refused.Status)
	}
	good := token(t, c, refused.Response, "alice", "secret")
	for range 2 {
		ask(t, c, s.URL(path), "Authorization", "Bearer "+good).want(t, 200, 0, blobSize)
	}
	for _, bad := range []string{good, "token-99", ""} {
		g := ask(t, c, s.URL(path), "Authorization", "Bearer "+bad)
		if g.StatusCode != 401 || !regexp.MustCompile(`error="invalid_token"$`).MatchString(g.Header.Get("WWW-Authenticate")) {
			t.Errorf("token %q: %s", bad, g.Status)
		}
	}
	if got := s.Count().Paths[path]; got.Secrets != 5 || got.Requests != 6 {
		t.Errorf("counted %+v", got)
	}
}

func TestTokensAreGoodForAWhile(t *testing.T) {
	s := serve(t, faultserver.Options{Token: &faultserver.Token{TTL: 200 * time.Millisecond}})
	c := client(t, s)
	start := time.Now()
	good := token(t, c, ask(t, c, s.URL(path)).Response)
	for {
		g, age := ask(t, c, s.URL(path), "Authorization", "Bearer "+good), time.Since(start)
		if g.StatusCode == 401 {
			if age < 200*time.Millisecond {
				t.Errorf("bad after %v", age)
			}
			return
		}
		if age > 5*time.Second {
			t.Fatal("it is good for ever")
		}
	}
}

func TestRedirect(t *testing.T) {
	s := serve(t, faultserver.Options{Redirect: &faultserver.Redirect{Uses: 2, Name: "localhost"}})
	c := client(t, s)
	c.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	g := ask(t, c, s.URL(path))
	link := g.Header.Get("Location")
	if g.StatusCode != 307 || !regexp.MustCompile(`^http://localhost:\d+`+path+`\?signature=`).MatchString(link) {
		t.Fatalf("%s to %s", g.Status, link)
	}
	ask(t, c, link).want(t, 200, 0, blobSize)
	ask(t, c, link, "Range", rangeOf(5, 9), "Authorization", "x").want(t, 206, 5, 9)
	for _, bad := range []string{link, link + "x", "http://" + s.SecondHost() + path} {
		if g := ask(t, c, bad); g.StatusCode != 403 {
			t.Errorf("%s: %s, want 403", bad, g.Status)
		}
	}
	hosts := s.Count().Hosts
	if first, second := hosts[s.Host()], hosts[s.SecondHost()]; first.Requests != 1 || second.Requests != 5 || second.Secrets != 1 || first.Secrets != 0 {
		t.Errorf("counted %+v", hosts)
	}
}

func TestRedirectIsGoodForAWhile(t *testing.T) {
	s := serve(t, faultserver.Options{Redirect: &faultserver.Redirect{TTL: time.Nanosecond, Status: 302}})
	c := client(t, s)
	if g := ask(t, c, s.URL(path)); g.StatusCode != 403 || g.Request.Response.StatusCode != 302 {
		t.Errorf("%s, want 403 after a 302", g.Status)
	}
}

// expiries are the faults of tokens and links, with what they answer.
var expiries = map[string]int{
	"17 401 midway, the token has expired": 401,
	"18 403 from the second host":          403,
	"18 401 from the second host":          401,
}

// TestExpiry shows the faults of tokens and links: what was good is not any more, and asking again is.
func TestExpiry(t *testing.T) {
	for name, status := range expiries {
		t.Run(name, func(t *testing.T) {
			f, ok := faultserver.Named(name)
			if !ok {
				t.Fatal("there is no such fault")
			}
			s := serve(t, faultserver.Options{Faults: []faultserver.Injection{{Fault: f, Times: 1, Offset: 1000}}})
			c := client(t, s)
			var header []string
			fresh := func() {
				if g := ask(t, c, s.URL("/")); g.StatusCode == 401 {
					header = []string{"Authorization", "Bearer " + token(t, c, g.Response)}
				}
			}
			fresh()
			ask(t, c, s.URL(path), append(header, "Range", rangeOf(0, 1000))...).want(t, 206, 0, 1000)
			if g := ask(t, c, s.URL(path), append(header, "Range", rangeOf(0, 1001))...); g.StatusCode != status {
				t.Errorf("%s, want %d", g.Status, status)
			}
			if status == 401 && s.SecondHost() == "" {
				if g := ask(t, c, s.URL(path), header...); g.StatusCode != 401 {
					t.Errorf("the old token is good: %s", g.Status)
				}
			}
			fresh()
			ask(t, c, s.URL(path), header...).want(t, 200, 0, blobSize)
		})
	}
}

// credentials are the faults of the second host, with what it wants.
var credentials = map[string]string{
	"20 redirect to a host that wants other credentials": `^Basic realm="elsewhere"`,
	"20 redirect to a host that wants a token":           `^Bearer realm="http://%s/token"`,
}

// TestOtherCredentials (20): the second host asks for what the first has no business to know.
func TestOtherCredentials(t *testing.T) {
	for name, challenge := range credentials {
		f, ok := faultserver.Named(name)
		if !ok {
			t.Fatal("there is no such fault")
		}
		s := serve(t, faultserver.Options{Faults: []faultserver.Injection{{Fault: f}}})
		g := ask(t, client(t, s), s.URL(path))
		want := challenge
		if f.Name[len(f.Name)-1] == 'n' {
			want = fmt.Sprintf(challenge, s.SecondHost())
		}
		if g.StatusCode != 401 || !regexp.MustCompile(want).MatchString(g.Header.Get("WWW-Authenticate")) {
			t.Errorf("%s: %s, %q", name, g.Status, g.Header.Get("WWW-Authenticate"))
		}
	}
}

// TestHops follows redirects as far as they go.
func TestHops(t *testing.T) {
	for name, c := range map[string]struct{ hops, status int }{
		"19 redirect to itself":         {30, 302},
		"19 redirect round in a circle": {30, 302},
		"19 redirect of eleven hops":    {11, 200},
	} {
		f, _ := faultserver.Named(name)
		s := serve(t, faultserver.Options{Faults: []faultserver.Injection{{Fault: f}}})
		client := client(t, s)
		hops := 0
		client.CheckRedirect = func(*http.Request, []*http.Request) error {
			if hops++; hops >= 30 {
				return http.ErrUseLastResponse
			}
			return nil
		}
		if g := ask(t, client, s.URL(path)); g.Response == nil || g.StatusCode != c.status || hops != c.hops {
			t.Errorf("%s: %+v after %d hops, want %d after %d", name, g.Response, hops, c.status, c.hops)
		}
	}
}

// TestDowngrade (19): the second host has no TLS, and says what it was asked.
func TestDowngrade(t *testing.T) {
	f, ok := faultserver.Named("19 redirect from https to http")
	if !ok {
		t.Fatal("there is no such fault")
	}
	s := serve(t, faultserver.Options{Faults: []faultserver.Injection{{Fault: f}}})
	g := ask(t, client(t, s), s.URL(path))
	g.want(t, 200, 0, blobSize)
	if g.Request.URL.Scheme != "http" || g.Request.Response.Request.URL.Scheme != "https" || s.Count().Hosts[s.SecondHost()].Requests != 1 {
		t.Errorf("led to %s, counted %+v", g.Request.URL, s.Count().Hosts)
	}
}
