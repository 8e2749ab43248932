package mstore

import "context"

// Credentials are what a registry knows a user by.
type Credentials struct {
	Username string
	Secret   string // a password or a token
}

// Login tries the credentials at the registry called host and, when they are good, keeps them where docker keeps its
// own, so that all tools of the machine find them. It fails with ErrAuthentication or ErrNetwork, and keeps nothing.
func (s *Store) Login(ctx context.Context, host string, c Credentials, plainHTTP bool) (err error) {
	defer classify(&err)
	return s.registry.Login(ctx, host, c.Username, c.Secret, plainHTTP)
}

// Logout forgets the credentials of the registry called host. It is no error when there are none.
func (s *Store) Logout(ctx context.Context, host string) (err error) {
	defer classify(&err)
	return s.registry.Logout(ctx, host)
}
