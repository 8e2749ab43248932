package hub_test

import (
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"

	"github.com/mstore/mstore/fetch/hub"
	"github.com/mstore/mstore/fetch/source"
	"github.com/mstore/mstore/internal/hubtest"
)

func TestAModel(t *testing.T) {
	weights, config := "the weights", `{"model_type":"llama"}`
	h := hubtest.Start(t, hubtest.Options{}, hubtest.Repo{ID: id, Files: []hubtest.File{
		hubtest.LFS("model.safetensors", weights), hubtest.Text("config.json", config), hubtest.Text(".gitattributes", "x"),
	}})
	commit := h.Commit(id, "refs/pr/1", hubtest.LFS("model.safetensors", weights), hubtest.Text("config.json", config))
	m := resolve(t, client(t, h), id+"@refs/pr/1")
	if m.Name != "hf.co/org/model:refs-pr-1" || m.Reference != "hf://org/model@refs/pr/1" || m.Revision != commit || !m.PlainHTTP ||
		m.Digest != "" || m.Manifest != nil || m.Unchanged {
		t.Errorf("the model is %+v", m)
	}
	wantPaths(t, m, "config.json", "model.safetensors")
	text, lfs := m.Files[0], m.Files[1]
	if lfs.Descriptor.Digest != digest.FromString(weights) || lfs.Descriptor.Size != int64(len(weights)) || lfs.Verify != nil || lfs.Name != "" {
		t.Errorf("an LFS object is %+v", lfs)
	}
	if text.Descriptor.Digest != "" || text.Descriptor.Size != int64(len(config)) || text.Verify == nil ||
		text.Name != h.Endpoint+"/org/model/resolve/"+commit+"/config.json" {
		t.Errorf("a file of git is %+v", text)
	}
	for i, want := range []string{config, weights} {
		if got, err := read(t, m.Files[i], 0, -1); err != nil || got != want {
			t.Errorf("%s = %q, %v", m.Files[i].Path, got, err)
		}
	}
	paths := make([]string, 0, len(h.Requests()))
	for _, r := range h.Requests() {
		paths = append(paths, r.Path)
	}
	for i, want := range []string{
		"/api/models/org/model/revision/refs%2Fpr%2F1", "/api/models/org/model/tree/" + commit,
		"/org/model/resolve/" + commit + "/config.json", "/org/model/resolve/" + commit + "/model.safetensors",
	} {
		if i >= len(paths) || paths[i] != want {
			t.Errorf("request %d is not %s: %q", i, want, paths)
		}
	}
	wantPaths(t, resolve(t, client(t, h), id), ".gitattributes", "config.json", "model.safetensors")
}

func TestUnchangedIsOneRequest(t *testing.T) {
	h := hubtest.Start(t, hubtest.Options{}, hubtest.Repo{ID: "gpt2", Files: []hubtest.File{hubtest.Text("a", "1")}})
	c := client(t, h, func(o *hub.Options) { o.UserAgent = "mstore/test" })
	commit := resolve(t, c, "gpt2").Revision
	before := len(h.Requests())
	having := func(o *source.Options) { o.Have, o.HaveRevision = digest.FromString("built"), commit }
	if m := resolve(t, c, "gpt2", having); !m.Unchanged || m.Revision != commit || m.Files != nil || m.Name != "hf.co/gpt2:main" {
		t.Errorf("the model is %+v", m)
	}
	asked := h.Requests()[before:]
	if len(asked) != 1 || asked[0].Header.Get("User-Agent") != "mstore/test" || asked[0].Header.Get("Authorization") != "" {
		t.Errorf("asked %+v, want one request of mstore/test and nobody", asked)
	}
	if m := resolve(t, c, "gpt2@"+commit, having); !m.Unchanged || len(h.Requests()) != before+1 {
		t.Errorf("a commit that is had was asked for: %+v", m)
	}
	h.Commit("gpt2", hubtest.Main, hubtest.Text("a", "2"))
	if m := resolve(t, c, "gpt2", having); m.Unchanged || m.Revision == commit {
		t.Errorf("what has changed is %+v", m)
	}
	if m := resolve(t, c, "gpt2@"+commit); m.Revision != commit { // which is still there
		t.Errorf("a commit is %+v", m)
	}
}

// TestPages: all of a list, however it is cut, and from a hub below a path.
func TestPages(t *testing.T) {
	var files []hubtest.File
	for i := range 30 {
		files = append(files, hubtest.Text(fmt.Sprintf("d%d/f%02d", i%3, i), fmt.Sprint(i)))
	}
	for _, size := range []int{1, 7, 29, 30, 31} {
		h := hubtest.Start(t, hubtest.Options{PageSize: size, Prefix: "/a/hub"}, hubtest.Repo{ID: id, Files: files})
		m := resolve(t, client(t, h), id)
		if want := 1 + (len(files)+size-1)/size; len(m.Files) != len(files) || len(h.Requests()) != want {
			t.Errorf("in pages of %d: %d files by %d requests, want %d by %d", size, len(m.Files), len(h.Requests()), len(files), want)
		}
		if got, err := read(t, m.Files[29], 0, -1); err != nil || got != "29" {
			t.Errorf("in pages of %d: the last file is %q, %v", size, got, err)
		}
	}
}

func TestEndpoints(t *testing.T) {
	for _, endpoint := range []string{"huggingface.co", "ftp://host/", "https://", "https://me:pw@host", "https://host/?token=x", "%", "https://h\x7f"} {
		_, err := hub.New(hub.Options{Endpoint: endpoint}).Resolve(t.Context(), id, options())
		if !errors.Is(err, source.ErrReference) || strings.Contains(err.Error(), "pw") {
			t.Errorf("%q = %v, want ErrReference", endpoint, err)
		}
	}
	_, err := hub.New(hub.Options{Endpoint: "http://hub.example"}).Resolve(t.Context(), id, options())
	if !errors.Is(err, source.ErrReference) || !strings.Contains(err.Error(), "TLS") {
		t.Errorf("a hub without TLS = %v, want ErrReference", err)
	}
}

// TestARenamedRepository: the hub redirects from the old name to the new one, and lets in there who was let in.
func TestARenamedRepository(t *testing.T) {
	opts := hubtest.Options{Token: secret, Before: func(w http.ResponseWriter, r *http.Request) bool {
		path := r.URL.EscapedPath()
		if !strings.Contains(path, "old/name") {
			return false
		}
		w.Header().Set("Location", strings.Replace(path, "old/name", id, 1)+"?"+r.URL.RawQuery)
		w.WriteHeader(http.StatusTemporaryRedirect)
		return true
	}}
	h := hubtest.Start(t, opts, hubtest.Repo{ID: id, Private: true, Files: []hubtest.File{hubtest.Text("a", "1"), hubtest.LFS("b", "2")}})
	m := resolve(t, client(t, h, as(secret)), "old/name")
	if m.Name != "hf.co/old/name:main" {
		t.Errorf("the name is %q", m.Name)
	}
	for i, want := range []string{"1", "2"} {
		if got, err := read(t, m.Files[i], 0, -1); err != nil || got != want {
			t.Errorf("file %d = %q, %v", i, got, err)
		}
	}
}
