package guard

import (
	"net/url"
)

// The parts of the guard that no server on loopback can put to the test.
var (
	Trusts = func(trusted []string, home, realm *url.URL) bool {
		return (&guard{trusted: trusted}).trusts(home, realm)
	}
	MaySend = func(home *url.URL, to string) bool { return checkLiteral(&url.URL{Host: to}, home) == nil }
)
