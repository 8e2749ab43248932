package hub

import (
	"context"
	"crypto/sha1" //nolint:gosec // git names its objects by it
	"encoding/hex"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/mstore/mstore/fetch/guard"
	"github.com/mstore/mstore/fetch/source"
	"github.com/mstore/mstore/fetch/transfer"
)

// file makes a file of a model of an entry, whose path is safe.
func (r *repository) file(e entry) source.File {
	f := source.File{
		Path: e.Path, Descriptor: ocispec.Descriptor{Size: e.Size}, Origins: []transfer.Origin{r.link(e)},
	}
	if e.LFS != nil {
		f.Descriptor.Digest = digest.NewDigestFromEncoded(digest.SHA256, e.LFS.OID)
		return f
	}
	f.Name = r.client.base.String() + r.resolvePath(e)
	f.Verify = func(size int64, content io.Reader) error { return verifyObject(e, size, content) }
	return f
}

func (r *repository) resolvePath(e entry) string {
	return "/" + r.id + "/resolve/" + r.commit + "/" + escape(e.Path)
}

// link is the origin of a file at the commit.
func (r *repository) link(e entry) *transfer.Link {
	what := fmt.Sprintf("%s of %s", transfer.Clean(e.Path), r)
	return &transfer.Link{
		Server: r.client.base.Host,
		Request: func(ctx context.Context) (*http.Request, error) {
			return r.client.get(ctx, r.resolvePath(e))
		},
		Send: func(req *http.Request) (*http.Response, error) {
			resp, err := r.client.send(req)
			if err != nil {
				return nil, err
			}
			if err := r.checkAnswer(e, resp); err != nil {
				_ = resp.Body.Close()
				return nil, fmt.Errorf("%s: %w", what, err)
			}
			return resp, nil
		},
		Direct: r.client.send,
		Fail: func(resp *http.Response) error {
			return r.fail(resp.Request.Context(), resp, what)
		},
	}
}

// checkAnswer holds what the hub says of a file, in its own answer and before it redirects, against its list. The
// lengths of those answers are of other things than the file.
func (r *repository) checkAnswer(e entry, last *http.Response) error {
	for resp := last; resp != nil; resp = resp.Request.Response {
		if resp.StatusCode >= http.StatusBadRequest || !guard.SameOrigin(resp.Request.URL, r.client.base) {
			continue
		}
		if commit := resp.Header.Get("X-Repo-Commit"); commit != "" && commit != r.commit {
			return fmt.Errorf("%w: it is of commit %s, and %s was asked for", source.ErrDigest, transfer.Clean(commit), r.commit)
		}
		want := e.OID
		if e.LFS != nil {
			want = e.LFS.OID
		}
		if tag := resp.Header.Get("X-Linked-Etag"); tag != "" && unquote(tag) != want {
			return fmt.Errorf("%w: it is listed with %s, and the hub has %s", source.ErrDigest, want, transfer.Clean(tag))
		}
		size, err := strconv.ParseInt(resp.Header.Get("X-Linked-Size"), 10, 64)
		if err == nil && size != e.Size {
			return fmt.Errorf("%w: it is listed with %d bytes, and the hub has %d", source.ErrDigest, e.Size, size)
		}
	}
	return nil
}

// unquote is an entity tag without its quotes.
func unquote(tag string) string { return strings.Trim(strings.TrimPrefix(tag, "W/"), `"`) }

// verifyObject checks that content is what git has under the id of e.
func verifyObject(e entry, size int64, content io.Reader) error {
	sum := sha1.New() //nolint:gosec // git's
	_, _ = fmt.Fprintf(sum, "blob %d\x00", size)
	n, err := io.Copy(sum, content)
	if err != nil {
		return err
	}
	if got := hex.EncodeToString(sum.Sum(nil)); got != e.OID || n != size {
		return fmt.Errorf("%w: git has it as object %s, and what came is %s (%d bytes)", source.ErrDigest, e.OID, got, n)
	}
	return nil
}
