package registry

import (
	"context"
	"fmt"
	"net/http"

	"oras.land/oras-go/v2/registry/remote/auth"
	"oras.land/oras-go/v2/registry/remote/credentials"

	"github.com/mstore/mstore/fetch/source"
	"github.com/mstore/mstore/fetch/transfer"
)

// Login stores a name and a secret (a password or token) for a registry, where docker keeps its credentials, after the
// registry has accepted them. On an error nothing is stored.
func (c *Client) Login(ctx context.Context, host, user, secret string) error {
	host, err := parseHost(host)
	if err != nil {
		return fmt.Errorf("%w: %w", source.ErrReference, err)
	}
	if user == "" || secret == "" {
		return fmt.Errorf("log in to %s: %w: a name and a password are needed", host, source.ErrAuth)
	}
	cred := auth.Credential{Username: user, Password: secret}
	if err := c.tryLogin(ctx, host, cred); err != nil {
		return fmt.Errorf("log in to %s: %w", host, err)
	}
	store, err := c.keys.open()
	if err == nil {
		err = store.Put(ctx, credentials.ServerAddressFromRegistry(apiHost(host)), cred)
	}
	if err != nil {
		return fmt.Errorf("store the credentials of %s: %w", host, err)
	}
	return nil
}

// tryLogin asks the registry whether cred opens it. A registry that lets everybody in accepts anything.
func (c *Client) tryLogin(ctx context.Context, host string, cred auth.Credential) error {
	base, err := c.base(ctx, host, false)
	if err != nil {
		return err
	}
	as := c.newAuth(func(_ context.Context, asking string) (auth.Credential, error) {
		if asking != base.Host {
			return auth.EmptyCredential, nil
		}
		c.keys.note(asking, cred, nil)
		return cred, nil
	}, nil)
	return transfer.Ask(ctx, transfer.Options{}, func(ctx context.Context) error {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, base.JoinPath("v2").String()+"/", http.NoBody)
		if err != nil {
			return err
		}
		resp, err := c.send(as, req, base)
		if err != nil {
			return err
		}
		switch {
		case resp.StatusCode == http.StatusOK && !isHTML(resp):
			return resp.Body.Close()
		case resp.StatusCode == http.StatusUnauthorized, resp.StatusCode == http.StatusForbidden:
			return c.refused(transfer.NewStatusError(resp, explain), base)
		case resp.StatusCode >= http.StatusInternalServerError, resp.StatusCode == http.StatusTooManyRequests:
			return transfer.NewStatusError(resp, explain)
		}
		return fmt.Errorf("%w: %w", errNotRegistry, transfer.NewStatusError(resp, explain))
	})
}

// Logout forgets what is stored for a registry. It is no error when nothing is.
func (c *Client) Logout(ctx context.Context, host string) error {
	host, err := parseHost(host)
	if err != nil {
		return fmt.Errorf("%w: %w", source.ErrReference, err)
	}
	address := credentials.ServerAddressFromRegistry(apiHost(host))
	store, err := c.keys.open()
	if err != nil {
		return fmt.Errorf("forget the credentials of %s: %w", host, err)
	}
	if had, err := store.Get(ctx, address); err == nil && had == auth.EmptyCredential {
		return nil
	}
	if err := store.Delete(ctx, address); err != nil {
		return fmt.Errorf("forget the credentials of %s: %w", host, err)
	}
	return nil
}
