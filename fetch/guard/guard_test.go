package guard_test

import (
	"net/url"
	"strings"
	"testing"

	"github.com/mstore/mstore/fetch/guard"
)

// TestRealms (V5): who a registry may send its clients to with their password.
func TestRealms(t *testing.T) {
	for _, c := range []struct {
		home, realm string
		trusted     []string
		want        bool
	}{
		{"https://registry-1.docker.io", "https://auth.docker.io/token", nil, true},
		{"https://registry.gitlab.com", "https://gitlab.com/jwt/auth", nil, true},
		{"https://registry.example.com:5050", "https://registry.example.com/auth", nil, true},
		{"https://registry.example.com", "https://gitlab.example.com/jwt/auth", nil, true},
		{"https://ghcr.io", "https://attacker.io/token", nil, false},
		{"https://ghcr.io", "https://ghcr.io.attacker.com/token", nil, false},
		{"https://registry.example.com", "https://attacker.com/token", nil, false},
		{"https://registry.example.com", "http://registry.example.com/token", nil, false},
		{"http://registry.example.com", "http://auth.example.com/token", nil, false},
		{"http://registry.example.com:5000", "http://registry.example.com:5001/token", nil, false},
		{"http://127.0.0.1:5000", "http://127.0.0.1:5001/token", nil, false},
		{"https://10.0.0.1", "https://11.0.0.1/token", nil, false},
		{"http://127.0.0.1:5000", "http://127.0.0.1:5001/token", []string{"127.0.0.1:5001"}, true},
		{"https://ghcr.io", "https://tokens.example.org/token", []string{"tokens.example.org"}, true},
	} {
		if got := guard.Trusts(c.trusted, parse(t, c.home), parse(t, c.realm)); got != c.want {
			t.Errorf("%s may send the password to %s (trusted: %q): %v, want %v", c.home, c.realm, c.trusted, got, c.want)
		}
	}
}

func parse(t *testing.T, s string) *url.URL {
	t.Helper()
	u, err := url.Parse(s)
	if err != nil {
		t.Fatal(err)
	}
	return u
}

// TestAddresses: a registry may send its clients as near as it is itself.
func TestAddresses(t *testing.T) {
	for _, c := range []struct {
		home string
		may  string
		not  string
	}{
		{"https://203.0.113.1", "198.51.100.7 2001:db8::1", "127.0.0.1 127.9.9.9 ::1 0.0.0.0 :: 10.1.2.3 172.16.0.1 192.168.1.1 " +
			"100.64.0.1 169.254.169.254 fe80::1 fd00::1 ::ffff:127.0.0.1 ::ffff:10.0.0.1 64:ff9b::7f00:1 2002:7f00:1:: 224.0.0.1 fd00:ec2::254"},
		{"https://10.0.0.5", "198.51.100.7 192.168.1.1 fd00::1", "127.0.0.1 ::1 169.254.169.254 0.0.0.0 100.100.100.200"},
		{"http://127.0.0.1:5000", "127.0.0.1 ::1 10.0.0.1 198.51.100.7", "169.254.169.254 0.0.0.0 fe80::1"},
		{"https://registry.invalid", "198.51.100.7", "127.0.0.1 10.0.0.1"},
	} {
		for addr := range strings.FieldsSeq(c.may) {
			if !guard.MaySend(parse(t, c.home), bracket(addr)) {
				t.Errorf("%s may not send to %s", c.home, addr)
			}
		}
		for addr := range strings.FieldsSeq(c.not) {
			if guard.MaySend(parse(t, c.home), bracket(addr)) {
				t.Errorf("%s may send to %s", c.home, addr)
			}
		}
	}
}

func bracket(addr string) string {
	if strings.Contains(addr, ":") {
		return "[" + addr + "]"
	}
	return addr
}
