package mstore

import "context"

// Login tries a name and a secret (a password or token) at the registry called host and, when they are good, keeps
// them where docker keeps its own, so that all tools of the machine find them. Of the options it uses those for
// requests. It fails with ErrUsage, ErrAuthentication or ErrNetwork, and keeps nothing then.
func Login(ctx context.Context, host, user, secret string, opts Options) (err error) {
	defer classify(&err)
	c := newSources(opts).registry
	defer c.Close()
	return c.Login(ctx, host, user, secret)
}

// Logout forgets the credentials of the registry called host. It is no error when there are none.
func Logout(ctx context.Context, host string) (err error) {
	defer classify(&err)
	c := newSources(Options{}).registry
	defer c.Close()
	return c.Logout(ctx, host)
}
