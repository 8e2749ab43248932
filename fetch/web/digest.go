package web

import (
	"context"
	"encoding/base64"
	"encoding/hex"
	"net/http"
	"path"
	"strings"

	"github.com/opencontainers/go-digest"

	"github.com/mstore/mstore/fetch/transfer"
)

// maxBeside is how long a list of digests beside a file may be.
const maxBeside = 64 << 10

// headerDigest is the sha256 that an answer, or one that redirected to it, says the file has; "" for none.
func headerDigest(resp *http.Response) digest.Digest {
	if !isEncoded(resp) {
		names := []string{"Repr-Digest", "Digest"}
		if resp.StatusCode == http.StatusOK {
			names = append(names, "Content-Digest") // of a part it is the part's
		}
		for _, name := range names {
			if d := listedDigest(strings.Join(resp.Header.Values(name), ",")); d != "" {
				return d
			}
		}
	}
	for ; resp != nil; resp = resp.Request.Response {
		if d, err := hexDigest(strings.Trim(resp.Header.Get("X-Linked-Etag"), `"`)); err == nil {
			return d
		}
	}
	return ""
}

// listedDigest finds sha-256 in a list of algorithms and digests: alg=:base64: as of RFC 9530, alg=base64 as of RFC 3230.
func listedDigest(list string) digest.Digest {
	for part := range strings.SplitSeq(list, ",") {
		alg, value, _ := strings.Cut(strings.TrimSpace(part), "=")
		if !strings.EqualFold(alg, "sha-256") {
			continue
		}
		value, _, _ = strings.Cut(value, ";") // parameters
		sum, err := base64.StdEncoding.DecodeString(strings.Trim(strings.TrimSpace(value), ":"))
		if err != nil {
			continue
		}
		if d, err := hexDigest(hex.EncodeToString(sum)); err == nil {
			return d
		}
	}
	return ""
}

// beside looks for a list of digests that lies beside the file, under the file's name with .sha256 or .sha256sum behind
// it; "" when there is none that names the file. A URL with a query has nothing beside it. The error is that of ctx.
func (f *file) beside(ctx context.Context, opts transfer.Options) (digest.Digest, error) {
	base, err := f.base()
	if f.url.RawQuery != "" || err != nil {
		return "", nil //nolint:nilerr // as said
	}
	for _, ext := range []string{".sha256", ".sha256sum"} {
		if strings.EqualFold(path.Ext(base), ext) { // it is such a list itself
			return "", nil
		}
		list, err := f.small(ctx, f.reference()+ext, maxBeside, opts)
		if err != nil {
			return "", err
		}
		if d := sumOf(string(list), base); d != "" {
			return d, nil
		}
	}
	return "", nil
}

// sumOf finds the digest of the file called name in a list, as sha256sum and its kin write it: "HEX", "HEX  name",
// "HEX *name" or "SHA256 (name) = HEX" a line. A digest without a name counts when it is the only line.
func sumOf(list, name string) digest.Digest {
	lines := strings.Split(strings.TrimSpace(strings.TrimPrefix(list, "\ufeff")), "\n")
	for _, line := range lines {
		line = strings.ReplaceAll(strings.TrimSpace(line), "\t", " ")
		sum, of, named := strings.Cut(line, " ")
		if rest, ok := strings.CutPrefix(line, "SHA256 ("); ok {
			var cut bool
			if of, sum, cut = strings.Cut(rest, ") = "); !cut {
				continue
			}
			named = true
		}
		of = strings.TrimPrefix(strings.TrimSpace(of), "*")
		if named && path.Base(of) != name || !named && len(lines) > 1 {
			continue
		}
		if d, err := hexDigest(sum); err == nil {
			return d
		}
	}
	return ""
}
