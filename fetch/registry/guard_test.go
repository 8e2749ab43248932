package registry_test

import (
	"bytes"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/mstore/mstore/fetch/guard"
	"github.com/mstore/mstore/fetch/registry"
	"github.com/mstore/mstore/fetch/source"
	"github.com/mstore/mstore/internal/registrytest"
)

// attacker is a server that asks for credentials whatever it is asked.
func attacker(t *testing.T) (host string, asked *log) {
	t.Helper()
	return serve(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("WWW-Authenticate", `Bearer realm="http://`+r.Host+`/token",service="x",scope="repository:m:pull"`)
		w.WriteHeader(http.StatusUnauthorized)
	})
}

// TestRedirectCarriesNoSecrets (V6) sends blob requests of a registry that wants a password elsewhere: another port of
// the same host, and another name of it.
func TestRedirectCarriesNoSecrets(t *testing.T) {
	r := registrytest.Start(t, registrytest.Options{Basic: true})
	m := newModel(t, 9)
	m.push(t, target(t, client(t, as(r.Host)), r.Host+"/m"))
	for _, status := range []int{301, 302, 303, 307, 308} {
		for name, rename := range map[string]func(string) string{
			"other port": func(h string) string { return h },
			"other name": func(h string) string { return strings.Replace(h, "127.0.0.1", "localhost", 1) },
			"subdomain":  func(h string) string { return strings.Replace(h, "127.0.0.1", "cdn.localhost", 1) },
		} {
			t.Run(fmt.Sprint(status, " ", name), func(t *testing.T) {
				evil, asked := attacker(t)
				host, _ := proxy(t, r.Host, func(w http.ResponseWriter, req *http.Request) bool {
					if !strings.Contains(req.URL.Path, "/blobs/") || req.Header.Get("Authorization") == "" {
						return false
					}
					http.Redirect(w, req, "http://"+rename(evil)+"/blob", status)
					return true
				})
				model := resolve(t, client(t, as(host)), host+"/m", source.Options{})
				if _, _, err := fetch(t, model, describe(m.layers[0])); err == nil {
					t.Error("the attacker's blob was taken")
				}
				wantNoSecrets(t, "the attacker", asked)
				if name == "other port" && len(asked.requests()) == 0 {
					t.Error("the redirect was not followed: nothing was put to the test")
				}
			})
		}
	}
}

func TestRedirectToAnotherServerIsFollowed(t *testing.T) {
	r := registrytest.Start(t, registrytest.Options{Basic: true})
	m := newModel(t, 100<<10)
	m.push(t, target(t, client(t, as(r.Host)), r.Host+"/m"))
	cdn, asked := serve(t, func(w http.ResponseWriter, req *http.Request) {
		http.ServeContent(w, req, "", time.Time{}, bytes.NewReader(m.layers[0]))
	})
	host, _ := proxy(t, r.Host, func(w http.ResponseWriter, req *http.Request) bool {
		if !strings.Contains(req.URL.Path, "/blobs/") || req.Header.Get("Authorization") == "" {
			return false
		}
		http.Redirect(w, req, "http://"+cdn+"/signed?secret=1", http.StatusTemporaryRedirect)
		return true
	})
	model := resolve(t, client(t, as(host)), host+"/m", source.Options{})
	got, _, err := fetch(t, model, describe(m.layers[0]))
	if err != nil || !bytes.Equal(got, m.layers[0]) {
		t.Errorf("%d bytes, %v", len(got), err)
	}
	wantNoSecrets(t, "the CDN", asked)
	if all := asked.requests(); len(all) != 1 || all[0].Header.Get("Range") == "" {
		t.Errorf("the CDN was asked %v, want one ranged request", all)
	}
}

// TestExpiredRedirectIsMadeAnew: the second host says 403, the registry gives a link that works.
func TestExpiredRedirectIsMadeAnew(t *testing.T) {
	r := registrytest.Start(t, registrytest.Options{})
	m := newModel(t, 9)
	m.push(t, target(t, client(t), r.Host+"/m"))
	var links int
	cdn, _ := serve(t, func(w http.ResponseWriter, req *http.Request) {
		if req.URL.RawQuery != "link=3" {
			http.Error(w, "expired", http.StatusForbidden)
			return
		}
		_, _ = w.Write(m.layers[0])
	})
	host, _ := proxy(t, r.Host, func(w http.ResponseWriter, req *http.Request) bool {
		if !strings.Contains(req.URL.Path, "/blobs/") {
			return false
		}
		links++
		http.Redirect(w, req, fmt.Sprintf("http://%s/?link=%d", cdn, links), http.StatusFound)
		return true
	})
	model := resolve(t, client(t), host+"/m", source.Options{})
	if _, stats, err := fetch(t, model, describe(m.layers[0])); err != nil || stats.Retries != 2 {
		t.Errorf("%+v, %v; want it after two retries", stats, err)
	}
}

func TestRedirectsThatAreRefused(t *testing.T) {
	evil, asked := attacker(t)
	for name, location := range map[string]string{
		"file": "file:///etc/passwd", "ftp": "ftp://127.0.0.1/x", "data": "data:text/plain,x", "gopher": "gopher://127.0.0.1/x",
		"link-local": "http://169.254.169.254/latest/meta-data", "unspecified": "http://0.0.0.0/", "metadata": "http://100.100.100.200/",
		"link-local v6": "http://[fe80::1]/", "v4 in v6": "http://[::ffff:169.254.169.254]/", "loop": "self", "no TLS": "http://" + evil + "/x",
	} {
		t.Run(name, func(t *testing.T) {
			var hops int
			srv := serveTLS(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if hops++; location == "self" {
					http.Redirect(w, r, r.URL.Path+"x", http.StatusFound)
					return
				}
				w.Header().Set("Location", location)
				w.WriteHeader(http.StatusTemporaryRedirect)
			}))
			c := client(t, func(o *registry.Options) { o.HTTP = srv.Client() })
			_, err := c.Resolve(t.Context(), strings.TrimPrefix(srv.URL, "https://")+"/m", source.Options{Transfer: quick})
			if !errors.Is(err, guard.ErrRedirect) {
				t.Errorf("redirect to %s = %v, want guard.ErrRedirect", location, err)
			}
			if hops > 6 {
				t.Errorf("%d hops were followed", hops)
			}
		})
	}
	if all := asked.requests(); len(all) != 0 {
		t.Errorf("after https, a server without TLS was asked %v", all)
	}
}

// TestForeignRealmGetsNoPassword: the same, with servers.
func TestForeignRealmGetsNoPassword(t *testing.T) {
	for _, rename := range []string{"127.0.0.1", "localhost"} {
		evil, asked := serve(t, func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte(`{"token":"x"}`)) })
		host, _ := serve(t, func(w http.ResponseWriter, r *http.Request) {
			realm := "http://" + strings.Replace(evil, "127.0.0.1", rename, 1) + "/token"
			w.Header().Set("WWW-Authenticate", `Bearer realm="`+realm+`",service="x"`)
			w.WriteHeader(http.StatusUnauthorized)
		})
		c := client(t, as(host))
		_, err := c.Resolve(t.Context(), host+"/m", source.Options{})
		if !errors.Is(err, guard.ErrUntrusted) || !strings.Contains(err.Error(), "not trusted") {
			t.Errorf("Resolve = %v, want source.ErrAuth that names the realm", err)
		}
		if err := c.Login(t.Context(), host, registrytest.User, "new secret"); !errors.Is(err, guard.ErrUntrusted) {
			t.Errorf("Login = %v, want source.ErrAuth", err)
		}
		wantNoSecrets(t, "the realm", asked)
	}
}

// TestUploadStaysWithTheRegistry (V7).
func TestUploadStaysWithTheRegistry(t *testing.T) {
	evil, asked := attacker(t)
	for name, location := range map[string]string{
		"other port": "http://" + evil + "/upload", "other name": "http://" + strings.Replace(evil, "127.0.0.1", "localhost", 1) + "/upload",
		"other scheme": "https://%s/upload", "a user": "http://me:pw@%s/upload", "metadata": "http://169.254.169.254/upload", "none": "",
	} {
		t.Run(name, func(t *testing.T) {
			host, own := serve(t, func(w http.ResponseWriter, r *http.Request) {
				switch r.Method {
				case http.MethodHead:
					w.WriteHeader(http.StatusNotFound)
				case http.MethodPost:
					if location != "" {
						w.Header().Set("Location", strings.Replace(location, "%s", r.Host, 1))
					}
					w.WriteHeader(http.StatusAccepted)
				}
			})
			_, err := target(t, client(t), host+"/m", plainHTTP).PushBlob(t.Context(), describe([]byte("x")), strings.NewReader("x"), nil)
			if !errors.Is(err, guard.ErrRedirect) && !errors.Is(err, source.ErrProtocol) {
				t.Errorf("push = %v, want guard.ErrRedirect", err)
			}
			wantNoSecrets(t, "the registry itself", own)
		})
	}
	if all := asked.requests(); len(all) != 0 {
		t.Errorf("the attacker was asked %v", all)
	}
}

// TestUploadIsNotRedirected: the session is the registry's own, and redirects when the bytes come.
func TestUploadIsNotRedirected(t *testing.T) {
	evil, asked := attacker(t)
	host, _ := serve(t, func(w http.ResponseWriter, r *http.Request) {
		switch r.Method {
		case http.MethodHead:
			w.WriteHeader(http.StatusNotFound)
		case http.MethodPost:
			w.Header().Set("Location", "/v2/m/blobs/uploads/1?state=a%2Fb")
			w.WriteHeader(http.StatusAccepted)
		case http.MethodPut:
			http.Redirect(w, r, "http://"+evil+"/put", http.StatusTemporaryRedirect)
		}
	})
	_, err := target(t, client(t), host+"/m", plainHTTP).PushBlob(t.Context(), describe([]byte("x")), strings.NewReader("x"), nil)
	if !errors.Is(err, guard.ErrRedirect) {
		t.Errorf("push = %v, want guard.ErrRedirect", err)
	}
	wantNoSecrets(t, "the attacker", asked)
}
