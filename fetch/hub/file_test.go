package hub_test

import (
	"errors"
	"net/http"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/mstore/mstore/fetch/source"
	"github.com/mstore/mstore/fetch/transfer"
	"github.com/mstore/mstore/internal/hubtest"
)

// TestTheTokenStaysWithTheHub: a private file comes through a CDN, which is on the same machine and sees no token.
func TestTheTokenStaysWithTheHub(t *testing.T) {
	weights := strings.Repeat("weights", 1000)
	h := hubtest.Start(t, hubtest.Options{Token: secret}, hubtest.Repo{ID: id, Private: true, Files: []hubtest.File{hubtest.LFS("w", weights)}})
	m := resolve(t, client(t, h, as(secret)), id)
	for _, off := range []int64{0, 700, 3000} {
		if got, err := read(t, m.Files[0], off, 700); err != nil || got != weights[off:off+700] {
			t.Errorf("at %d: %d bytes, %v", off, len(got), err)
		}
	}
	var hub, cdn int
	for _, r := range h.Requests() {
		auth := r.Header.Get("Authorization")
		if r.CDN {
			if cdn++; auth != "" || r.Header.Get("Referer") != "" || r.Header.Get("Cookie") != "" || r.Header.Get("Range") == "" {
				t.Errorf("the CDN was sent %v", r.Header)
			}
		} else if hub++; auth != "Bearer "+secret {
			t.Errorf("the hub was sent the authorization %q with %s", auth, r.Path)
		}
	}
	if hub != 3 || cdn != 3 { // the link that was signed is used again
		t.Errorf("%d requests to the hub, %d to the CDN; want 3 each", hub, cdn)
	}
}

func TestALinkThatRunsOut(t *testing.T) {
	h := hubtest.Start(t, hubtest.Options{}, hubtest.Repo{ID: id, Files: []hubtest.File{hubtest.LFS("w", "weights")}})
	m := resolve(t, client(t, h), id)
	for range 3 {
		for off, want := range []string{"we", "ei"} {
			if got, err := read(t, m.Files[0], int64(off), 2); err != nil || got != want {
				t.Errorf("at %d: %q, %v", off, got, err)
			}
		}
		h.ExpireLinks()
	}
}

// TestALinkThatNeverWorks is an error that is worth a retry, and tells nothing of what is secret in the link.
func TestALinkThatNeverWorks(t *testing.T) {
	h := hubtest.Start(t, hubtest.Options{}, hubtest.Repo{ID: id, Files: []hubtest.File{hubtest.LFS("w", "weights")}})
	cdn := h.CDN
	h = hubtest.Start(t, hubtest.Options{Before: func(w http.ResponseWriter, r *http.Request) bool {
		if !hubtest.IsBlob(r) {
			return false
		}
		http.Redirect(w, r, "http://"+cdn+"/w?X-Amz-Signature=open-sesame", http.StatusFound)
		return true
	}}, hubtest.Repo{ID: id, Files: []hubtest.File{hubtest.LFS("w", "weights")}})
	_, err := read(t, resolve(t, client(t, h), id).Files[0], 0, 7)
	var status *transfer.StatusError
	if !errors.As(err, &status) || status.Status != http.StatusForbidden || !transfer.Retryable(err) || errors.Is(err, source.ErrAuth) {
		t.Errorf("Fetch = %v, want a 403 that is worth a retry", err)
	}
	if strings.Contains(err.Error(), "sesame") {
		t.Errorf("the error tells the secret: %v", err)
	}
}

// TestOver50GB: a file of 60 GB is one like others.
func TestOver50GB(t *testing.T) {
	const size = 60 << 30
	h := hubtest.Start(t, hubtest.Options{}, hubtest.Repo{ID: id, Files: []hubtest.File{{Path: "w.safetensors", LFS: true, Size: size}}})
	f := resolve(t, client(t, h), id).Files[0]
	if f.Descriptor.Size != size {
		t.Errorf("its size is %d", f.Descriptor.Size)
	}
	for _, off := range []int64{0, 55 << 30, size - 5} {
		if got, err := read(t, f, off, 5); err != nil || got != strings.Repeat("\x00", 5) {
			t.Errorf("at %d: %q, %v", off, got, err)
		}
	}
	for _, r := range h.Requests() {
		if r.CDN && r.Header.Get("Range") == "" {
			t.Error("all of it was asked for")
		}
	}
}

// TestAnswersThatContradictTheList: what the hub says of a file when it gives it is held against its list.
func TestAnswersThatContradictTheList(t *testing.T) {
	for name, header := range map[string][2]string{
		"another sha256": {"X-Linked-Etag", `"` + strings.Repeat("a", 64) + `"`},
		"a weak one":     {"X-Linked-Etag", `W/"` + strings.Repeat("a", 64) + `"`},
		"hostile":        {"X-Linked-Etag", "\u202e[31m" + strings.Repeat("x", 5000)},
		"another commit": {"X-Repo-Commit", strings.Repeat("b", 40)},
		"another size":   {"X-Linked-Size", "8"},
	} {
		for _, redirect := range []bool{true, false} {
			t.Run(name, func(t *testing.T) {
				h := hubtest.Start(t, hubtest.Options{Before: func(w http.ResponseWriter, r *http.Request) bool {
					if !hubtest.IsBlob(r) {
						return false
					}
					w.Header().Set(header[0], header[1])
					if redirect {
						http.Redirect(w, r, "/elsewhere", http.StatusFound)
						return true
					}
					_, _ = w.Write([]byte("weights"))
					return true
				}}, hubtest.Repo{ID: id, Files: []hubtest.File{hubtest.LFS("w", "weights")}})
				f := resolve(t, client(t, h), id).Files[0]
				_, err := read(t, f, 0, 7)
				if !errors.Is(err, source.ErrDigest) || len(err.Error()) > 1000 || strings.ContainsRune(err.Error(), '\u202e') {
					t.Errorf("Fetch = %v, want ErrDigest", err)
				}
			})
		}
	}
}

// TestWhatGitHas: what came is held against the object id of the list.
func TestWhatGitHas(t *testing.T) {
	h := hubtest.Start(t, hubtest.Options{}, hubtest.Repo{ID: id, Files: []hubtest.File{
		hubtest.Text("right", "content"), {Path: "wrong", Data: []byte("content"), ListedOID: strings.Repeat("a", 40)},
	}})
	for _, f := range resolve(t, client(t, h), id).Files {
		got, err := read(t, f, 0, -1)
		if err != nil {
			t.Fatal(err)
		}
		for content, ok := range map[string]bool{got: f.Path == "right", got + "x": false, "Content": false, "": false} {
			err := f.Verify(int64(len(content)), strings.NewReader(content))
			if (err == nil) != ok || err != nil && !errors.Is(err, source.ErrDigest) {
				t.Errorf("%s: Verify(%q) = %v", f.Path, content, err)
			}
		}
		if err := f.Verify(int64(len(got)+1), strings.NewReader(got)); !errors.Is(err, source.ErrDigest) {
			t.Errorf("%s: Verify of a size that is not its own = %v, want ErrDigest", f.Path, err)
		}
		broken := errors.New("broken")
		if err := f.Verify(7, iotest.ErrReader(broken)); !errors.Is(err, broken) || errors.Is(err, source.ErrDigest) {
			t.Errorf("%s: Verify of what cannot be read = %v", f.Path, err)
		}
	}
}
