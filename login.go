package mstore

import (
	"context"
	"slices"

	"github.com/mstore/mstore/fetch/registry"
)

// Login tries a name and a secret (a password or token) at the registry called host and, when they are good, keeps
// them where docker keeps its own, so that all tools of the machine find them. Of the options it uses those for
// requests. It fails with ErrUsage, ErrAuthentication or ErrNetwork, and keeps nothing then.
func Login(ctx context.Context, host, user, secret string, opts Options) (err error) {
	defer classify(&err)
	c := newRegistry(opts)
	defer c.Close()
	return c.Login(ctx, host, user, secret)
}

// Logout forgets the credentials of the registry called host. It is no error when there are none.
func Logout(ctx context.Context, host string) (err error) {
	defer classify(&err)
	c := newRegistry(Options{})
	defer c.Close()
	return c.Logout(ctx, host)
}

// newRegistry is what speaks to registries as the options say.
func newRegistry(opts Options) *registry.Client {
	return registry.New(registry.Options{
		HTTP: opts.HTTP, UserAgent: opts.UserAgent, Log: logOf(opts),
		PlainHTTP: func(host string) bool { return slices.Contains(opts.PlainHTTP, host) },
	})
}
