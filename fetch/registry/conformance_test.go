package registry_test

import (
	"net/http"
	"net/http/httputil"
	"net/url"
	"strings"
	"testing"

	"github.com/mstore/mstore/fetch/source"
	"github.com/mstore/mstore/fetch/sourcetest"
	"github.com/mstore/mstore/internal/registrytest"
)

// TestConformance: a registry that wants a password, as a process, behind a front that counts.
func TestConformance(t *testing.T) {
	sourcetest.Run(t, func(t *testing.T) sourcetest.World {
		r := registrytest.Start(t, registrytest.Options{Basic: true})
		behind := httputil.NewSingleHostReverseProxy(&url.URL{Scheme: "http", Host: r.Host})
		front := sourcetest.NewFront(t, behind, func(req *http.Request) bool { return strings.Contains(req.URL.Path, "/blobs/") })
		push := func(t *testing.T, sizes ...int) map[string][]byte {
			t.Helper()
			m := newModel(t, sizes...)
			m.push(t, target(t, client(t, as(r.Host)), r.Host+"/org/model:v1"))
			files := make(map[string][]byte)
			for i, f := range m.m.Files {
				files[f.Path] = m.layers[i]
			}
			return files
		}
		challenge := func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("WWW-Authenticate", `Basic realm="front"`)
			w.WriteHeader(http.StatusUnauthorized)
		}
		return sourcetest.World{
			Source: client(t, as(front.Host)), Options: source.Options{PlainHTTP: true},
			Ref: front.Host + "/org/model:v1", Files: push(t, sourcetest.MinLarge, 17, 0),
			Missing:   []string{front.Host + "/org/model:v2", front.Host + "/nobody/here"},
			Malformed: []string{"", front.Host, front.Host + "/UPPER", front.Host + "/a:b:c", front.Host + "/a@sha256:1", "nohost/a"},
			Change:    func(t *testing.T) map[string][]byte { return push(t, 2<<20, 18) },
			Faults: map[string]sourcetest.Fault{
				"denied":     {Make: front.Answers(challenge), Want: source.ErrAuth},
				"forbidden":  {Make: front.Answers(sourcetest.Status(http.StatusForbidden)), Want: source.ErrAuth},
				"a web page": {Make: front.Answers(sourcetest.WebPage), Want: source.ErrProtocol},
				"broken":     {Make: front.Answers(sourcetest.Status(http.StatusBadGateway))},
			},
			Hang: front.Hang, Blobs: front.Blobs, Secrets: []string{registrytest.Password},
		}
	})
}
