package registry_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/mstore/mstore/fetch/registry"
	"github.com/mstore/mstore/fetch/source"
	"github.com/mstore/mstore/internal/registrytest"
)

func TestLoginAndLogout(t *testing.T) {
	for name, opts := range map[string]registrytest.Options{"basic": {Basic: true}, "token": {Token: true}} {
		t.Run(name, func(t *testing.T) {
			r := registrytest.Start(t, opts)
			config := t.TempDir()
			fresh := func() *registry.Client { // as the next command would be
				t.Setenv("DOCKER_CONFIG", config)
				var o registry.Options
				if r.Tokens != nil {
					o.TrustedRealms = []string{r.Tokens.Host()}
				}
				return registry.New(o)
			}
			file := filepath.Join(config, "config.json")
			err := fresh().Login(t.Context(), r.Host, registrytest.User, "guess")
			if !errors.Is(err, source.ErrAuth) || !strings.Contains(err.Error(), "credentials were sent") {
				t.Errorf("Login with a wrong password = %v, want source.ErrAuth", err)
			}
			if _, err := os.Stat(file); !errors.Is(err, os.ErrNotExist) {
				t.Errorf("a login that was refused left %s: %v", file, err)
			}
			if err := fresh().Login(t.Context(), r.Host, registrytest.User, registrytest.Password); err != nil {
				t.Fatal(err)
			}
			m := newModel(t, 9)
			m.push(t, target(t, fresh(), r.Host+"/m"))
			resolve(t, fresh(), r.Host+"/m", source.Options{})

			for range 2 {
				if err := fresh().Logout(t.Context(), r.Host); err != nil {
					t.Errorf("Logout = %v", err)
				}
			}
			if _, err := target(t, fresh(), r.Host+"/n").HasBlob(t.Context(), describe(nil)); name == "basic" && !errors.Is(err, source.ErrAuth) {
				t.Errorf("after Logout: %v, want source.ErrAuth", err)
			}
			if strings.Contains(read(t, file), r.Host) {
				t.Errorf("after Logout: %s", read(t, file))
			}
		})
	}
}

func TestLoginRefuses(t *testing.T) {
	web, _ := serve(t, page)
	down := registrytest.StartCrane(t)
	down.Stop()
	for _, c := range []struct {
		host, user, secret string
		want               error
	}{
		{"no host", "u", "p", source.ErrReference},
		{"word", "u", "p", source.ErrReference},
		{web, "", "p", source.ErrAuth},
		{web, "u", "", source.ErrAuth},
		{web, "u", "p", source.ErrProtocol},
	} {
		if err := client(t).Login(t.Context(), c.host, c.user, c.secret); !errors.Is(err, c.want) {
			t.Errorf("Login(%q, %q) = %v, want %v", c.host, c.user, err, c.want)
		}
	}
	if err := client(t).Login(t.Context(), down.Host, "u", "p"); err == nil || errors.Is(err, source.ErrAuth) {
		t.Errorf("Login at nobody's = %v", err)
	}
	if err := client(t).Logout(t.Context(), "word"); !errors.Is(err, source.ErrReference) {
		t.Errorf("Logout of no host = %v", err)
	}
}

// helper puts a docker credential helper on PATH that answers get with text, and tells docker's configuration of it.
func helper(t *testing.T, host, text string) *registry.Client {
	t.Helper()
	bin, config := t.TempDir(), t.TempDir()
	write(t, filepath.Join(bin, "docker-credential-mstoretest"), "#!/bin/sh\n"+text+"\n")
	write(t, filepath.Join(config, "config.json"), fmt.Sprintf(`{"credHelpers":{%q:"mstoretest"}}`, host))
	t.Setenv("PATH", bin+string(os.PathListSeparator)+os.Getenv("PATH"))
	t.Setenv("DOCKER_CONFIG", config)
	return registry.New(registry.Options{})
}

func TestCredentialHelper(t *testing.T) {
	if os.PathSeparator != '/' {
		t.Skip("the helper of this test is a shell script")
	}
	r := registrytest.Start(t, registrytest.Options{Basic: true})
	m := newModel(t, 9)
	m.push(t, target(t, client(t, as(r.Host)), r.Host+"/m"))

	good := fmt.Sprintf(`read host; [ "$1 $host" = "get %s" ] && echo '{"Username":"%s","Secret":"%s"}'`,
		r.Host, registrytest.User, registrytest.Password)
	resolve(t, helper(t, r.Host, good), r.Host+"/m", source.Options{})

	_, err := helper(t, r.Host, `echo "the vault is locked"; exit 1`).Resolve(t.Context(), r.Host+"/m", source.Options{})
	if !errors.Is(err, source.ErrAuth) || !strings.Contains(err.Error(), "the vault is locked") {
		t.Errorf("with a helper that fails: %v, want source.ErrAuth that says why", err)
	}
}

// TestPublicIsHadWithoutCredentials: what is wrong with the keyring must not keep anybody from what is public.
func TestPublicIsHadWithoutCredentials(t *testing.T) {
	r := registrytest.Start(t, registrytest.Options{Token: true})
	newModel(t, 9).push(t, target(t, client(t, as(r.Host), trust(r)), r.Host+"/m"))
	config := t.TempDir()
	write(t, filepath.Join(config, "config.json"), "{ not JSON")
	t.Setenv("DOCKER_CONFIG", config)
	resolve(t, registry.New(registry.Options{}), r.Host+"/m", source.Options{})
}
