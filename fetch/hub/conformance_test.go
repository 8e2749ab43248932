package hub_test

import (
	"bytes"
	"context"
	"net/http"
	"net/http/httputil"
	"net/url"
	"strings"
	"testing"

	"github.com/mstore/mstore/fetch/hub"
	"github.com/mstore/mstore/fetch/source"
	"github.com/mstore/mstore/fetch/sourcetest"
	"github.com/mstore/mstore/internal/hubtest"
)

// TestConformance: a private repository, whose files come in pages and through a CDN, behind a front that counts.
func TestConformance(t *testing.T) {
	large := bytes.Repeat([]byte("weights!"), sourcetest.MinLarge/8)
	files := []hubtest.File{
		{Path: "model.safetensors", Data: large, LFS: true},
		hubtest.Text("config.json", "{}"), hubtest.Text("empty", ""), hubtest.Text(".gitattributes", "*.safetensors"),
		hubtest.Text("größe/a b%2f#+&.txt", "u"),
		{Path: "big.json", Data: large},
	}
	other := []hubtest.File{hubtest.LFS("model.safetensors", "small"), hubtest.Text("config.json", "{ }")}
	sourcetest.Run(t, func(t *testing.T) sourcetest.World {
		h := hubtest.Start(t, hubtest.Options{Token: secret, PageSize: 2, Prefix: "/hf"}, hubtest.Repo{ID: id, Private: true, Files: files})
		behind, err := url.Parse(strings.TrimSuffix(h.Endpoint, "/hf"))
		if err != nil {
			t.Fatal(err)
		}
		proxy := &httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) {
			r.SetURL(behind)
			r.Out.Host = r.In.Host // which the links to the next page name
		}}
		front := sourcetest.NewFront(t, proxy, hubtest.IsBlob)
		token := func(context.Context) (string, error) { return secret, nil }
		return sourcetest.World{
			Source: hub.New(hub.Options{Endpoint: front.URL + "/hf", Token: token}),
			Ref:    id, Files: contents(files),
			Missing:   []string{id + "@none", "org/none", id + ":none.gguf", id + ":Q4_K_M", id + "@" + strings.Repeat("0", 40)},
			Malformed: []string{"", "org/", "/name", "a/b/c", "org/name@", "org/name:", "org/name@a:b", "datasets/org/name", "org/../x", "org/-x"},
			Change: func(*testing.T) map[string][]byte {
				h.Commit(id, hubtest.Main, other...)
				return contents(other)
			},
			Faults: map[string]sourcetest.Fault{
				"forbidden":  {Make: front.Answers(sourcetest.Status(http.StatusForbidden)), Want: source.ErrAuth},
				"denied":     {Make: front.Answers(sourcetest.Status(http.StatusUnauthorized)), Want: source.ErrAuth},
				"gone":       {Make: front.Answers(sourcetest.Status(http.StatusGone)), Want: source.ErrNotFound},
				"a web page": {Make: front.Answers(sourcetest.WebPage), Want: source.ErrProtocol},
				"broken":     {Make: front.Answers(sourcetest.Status(http.StatusBadGateway))},
			},
			Hang: front.Hang, Blobs: front.Blobs, Secrets: []string{secret, "X-Amz"},
		}
	})
}

func contents(files []hubtest.File) map[string][]byte {
	out := make(map[string][]byte)
	for _, f := range files {
		out[f.Path] = f.Data
	}
	return out
}
