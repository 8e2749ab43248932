package registry

import (
	"context"
	"fmt"
	"net/http"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/mstore/mstore/fetch/guard"
	"github.com/mstore/mstore/fetch/transfer"
)

// origins is what a model of package source has as Origins: the repository, and its mirrors. URLs that a descriptor
// names (of foreign layers) are no origins: nobody vouches for where they lead.
func (r *repository) origins(desc ocispec.Descriptor) []transfer.Origin {
	origins := []transfer.Origin{r.origin(desc)}
	for _, m := range r.mirrors {
		origins = append(origins, m.origin(desc))
	}
	return origins
}

// origin is the repository as a place of a blob.
func (r *repository) origin(desc ocispec.Descriptor) transfer.Origin {
	return &transfer.Link{
		Server: r.base.Host,
		Seen:   r.c.latency(r.base.Host),
		Request: func(ctx context.Context) (*http.Request, error) {
			return r.request(ctx, http.MethodGet, "blobs/"+string(desc.Digest))
		},
		Send: r.send,
		Direct: func(req *http.Request) (*http.Response, error) {
			req.Header.Set("User-Agent", r.c.opts.UserAgent)
			return r.c.http.Do( //nolint:gosec // the guard judges where it leads
				req.WithContext(guard.WithHome(req.Context(), r.base)))
		},
		Fail: func(resp *http.Response) error {
			return r.fail(resp, fmt.Sprintf("blob %s of %s", desc.Digest, r))
		},
	}
}
