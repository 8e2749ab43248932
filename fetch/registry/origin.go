package registry

import (
	"context"
	"fmt"
	"io"
	"net/http"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/mstore/mstore/fetch/transfer"
)

// origin is a blob in a repository.
type origin struct {
	repo *repository
	blob digest.Digest
}

// origins is [source.Model.Origins]. URLs that a descriptor names (of foreign layers) are no origins: nobody vouches
// for where they lead.
func (r *repository) origins(desc ocispec.Descriptor) []transfer.Origin {
	return []transfer.Origin{&origin{r, desc.Digest}}
}

// Fetch is [transfer.Origin]. Each call begins at the registry, so that a signed redirect that has expired is made
// anew.
func (o *origin) Fetch(ctx context.Context, off, n int64) (io.ReadCloser, int64, error) {
	req, err := o.repo.request(ctx, http.MethodGet, "blobs/"+string(o.blob))
	if err != nil {
		return nil, 0, err
	}
	req.Header.Set("Accept-Encoding", "identity")
	if off > 0 || n >= 0 {
		req.Header.Set("Range", transfer.Range(off, n))
	}
	resp, err := o.repo.send(req) //nolint:bodyclose // Answer and fail see to it
	if err != nil {
		return nil, 0, err
	}
	switch resp.StatusCode {
	case http.StatusOK, http.StatusPartialContent, http.StatusRequestedRangeNotSatisfiable:
		return transfer.Answer(resp, off, n)
	}
	return nil, 0, o.repo.fail(resp, fmt.Sprintf("blob %s of %s", o.blob, o.repo))
}
