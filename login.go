package mstore

import "context"

// Login tries a name and a secret (a password or a token) at the registry called host and, when they are good, keeps
// them where docker keeps its own, so that all tools of the machine find them. It fails with ErrAuthentication or
// ErrNetwork, and keeps nothing then.
func (s *Store) Login(ctx context.Context, host, user, secret string) (err error) {
	defer classify(&err)
	return s.registry.Login(ctx, host, user, secret)
}

// Logout forgets the credentials of the registry called host. It is no error when there are none.
func (s *Store) Logout(ctx context.Context, host string) (err error) {
	defer classify(&err)
	return s.registry.Logout(ctx, host)
}
