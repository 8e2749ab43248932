package registry_test

import (
	"bytes"
	"net/http"
	"strings"
	"testing"

	"github.com/mstore/mstore/fetch/registry"
	"github.com/mstore/mstore/fetch/source"
	"github.com/mstore/mstore/internal/registrytest"
)

// TestMirrors: what the registry fails to give, a mirror gives; what a mirror fails to give, the registry does. A mirror
// is asked for blobs only.
func TestMirrors(t *testing.T) {
	r := registrytest.Start(t, registrytest.Options{})
	m := newModel(t, 100<<10)
	m.push(t, target(t, client(t), r.Host+"/m"))
	broken := func(w http.ResponseWriter, req *http.Request) bool {
		if !strings.Contains(req.URL.Path, "/blobs/") {
			return false
		}
		w.WriteHeader(http.StatusBadGateway)
		return true
	}
	well := func(http.ResponseWriter, *http.Request) bool { return false }
	for name, c := range map[string]struct {
		home, mirror func(http.ResponseWriter, *http.Request) bool
	}{
		"the registry is broken": {broken, well},
		"the mirror is broken":   {well, broken},
		"both are well":          {well, well},
	} {
		t.Run(name, func(t *testing.T) {
			home, _ := proxy(t, r.Host, c.home)
			mirror, asked := proxy(t, r.Host, c.mirror)
			cl := client(t, func(o *registry.Options) {
				o.Mirrors = func(host string) []string {
					if host != home {
						return nil
					}
					return []string{mirror, "127.0.0.1:1"}
				}
			})
			model := resolve(t, cl, home+"/m", source.Options{})
			got, _, err := fetch(t, model, describe(m.layers[0]))
			if err != nil || !bytes.Equal(got, m.layers[0]) {
				t.Errorf("%d bytes, %v", len(got), err)
			}
			for _, req := range asked.requests() {
				if !strings.Contains(req.Path, "/blobs/") && req.Path != "/v2/" {
					t.Errorf("the mirror was asked for %s", req.Path)
				}
			}
		})
	}
}
