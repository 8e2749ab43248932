package web_test

import (
	"errors"
	"io"
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/mstore/mstore/blobstore"
	"github.com/mstore/mstore/blobstore/storetest"
	"github.com/mstore/mstore/fetch"
	"github.com/mstore/mstore/fetch/transfer"
	"github.com/mstore/mstore/fetch/web"
	"github.com/mstore/mstore/internal/faultserver"
	"github.com/mstore/mstore/manifest/tags"
)

// pull pulls a URL into a store, which is checked when the test ends, and gives the bytes that it has then.
func pull(t *testing.T, ref string, opts fetch.Options) (string, error) {
	t.Helper()
	log := slog.New(slog.DiscardHandler)
	store := storetest.New(t, blobstore.Options{Log: log})
	named, err := tags.Open(store.Root(), tags.Options{})
	if err != nil {
		t.Fatal(err)
	}
	p := &fetch.Puller{Store: store, Tags: named, Engine: transfer.New(transfer.Limits{ChunkSize: 64 << 10}), Log: log}
	opts.Source.Transfer = transfer.Options{Retries: 3, Stall: 5 * time.Second, Jitter: func(time.Duration) time.Duration { return 0 }}
	c := web.New(web.Options{})
	defer c.Close()
	r, err := p.Pull(t.Context(), c, ref, nil, opts)
	if err != nil {
		return "", err
	}
	blob, err := store.Open(r.Manifest.Files[0].Descriptor.Digest)
	if err != nil {
		t.Fatal(err)
	}
	defer blob.Close()
	got, err := io.ReadAll(io.NewSectionReader(blob, 0, r.Manifest.Files[0].Descriptor.Size))
	if err != nil {
		t.Fatal(err)
	}
	return string(got), nil
}

// TestWrongBytes: a digest that was found anywhere is held against what came.
func TestWrongBytes(t *testing.T) {
	long, other := noise(100_000, "a"), noise(100_000, "b")
	s := newSite(t, map[string]page{
		"/header": {content: other, header: map[string]string{"ETag": `"v1"`, "Digest": "sha-256=" + base64Of(long)}},
		"/beside": tagged(other, `"v1"`), "/beside.sha256": {content: hexOf(long) + "  beside\n", header: map[string]string{"Content-Type": "text/plain"}},
		"/plain": tagged(other, `"v1"`),
	})
	for ref, opts := range map[string]fetch.Options{
		"/header": {}, "/beside": {}, "/plain#sha256=" + hexOf(long): {}, "/plain": {Digest: sumOf(long)},
	} {
		if _, err := pull(t, s.URL+ref, opts); !errors.Is(err, blobstore.ErrMismatch) {
			t.Errorf("%s: %v, want blobstore.ErrMismatch", ref, err)
		}
	}
	if got, err := pull(t, s.URL+"/plain", fetch.Options{Digest: sumOf(other)}); err != nil || got != other {
		t.Errorf("the right digest: %d bytes, %v", len(got), err)
	}
}

// TestPullOfWhatChanges: the connection breaks in the middle of one state, and what follows is another. With a
// validator or without, the model is the other one whole.
func TestPullOfWhatChanges(t *testing.T) {
	long, other := noise(200_000, "a"), noise(200_000, "b")
	for name, tag := range map[string][2]string{"a validator": {`"v1"`, `"v2"`}, "none": {}} {
		t.Run(name, func(t *testing.T) {
			s := newSite(t, map[string]page{})
			after := page{content: other}
			if tag[1] != "" {
				after = tagged(other, tag[1])
			}
			s.set("/f", page{handler: func(w http.ResponseWriter, r *http.Request) {
				if tag[0] != "" {
					w.Header().Set("ETag", tag[0])
				}
				if r.Method == http.MethodHead || r.Header.Get("Range") != "" {
					http.ServeContent(w, r, "", time.Time{}, strings.NewReader(long))
					if r.Method == http.MethodGet {
						s.set("/f", after)
					}
					return
				}
				w.Header().Set("Content-Length", "200000")
				_, _ = io.WriteString(w, long[:70_000])
				s.set("/f", after)
				panic(http.ErrAbortHandler)
			}})
			got, err := pull(t, s.URL+"/f", fetch.Options{})
			if err != nil || got != other {
				t.Errorf("%d bytes, %v; want the newer state, whole", len(got), err)
			}
		})
	}
}

// TestPullInSpiteOfFaults: what servers do wrong in the middle of a file that nobody knows the digest of. Bits that are
// flipped show only with one; where an answer is so wrong that net/http has none, or no size or credentials fit, an
// error is as good as the file.
func TestPullInSpiteOfFaults(t *testing.T) {
	content := faultserver.Content(1, 300_000)
	for _, fault := range faultserver.On(faultserver.OnBlob) {
		const bits = 28
		mayFail := slices.Contains([]int{5, 14, 17, 23, 24}, fault.Case)
		if fault.Slow || fault.Case >= bits {
			continue
		}
		t.Run(fault.Name, func(t *testing.T) {
			s, err := faultserver.Serve(faultserver.Options{
				Blobs: []faultserver.Blob{{
					Path: "/f.bin", Data: content, Size: content.Size(), Header: http.Header{"Etag": {`"v1"`}, "Content-Type": {"application/octet-stream"}},
				}},
				Faults: []faultserver.Injection{{Fault: fault, Path: "/f.bin", Offset: 100_000, Skip: 1, Times: 1}},
			})
			if err != nil {
				t.Fatal(err)
			}
			defer s.Close()
			got, err := pull(t, s.URL("/f.bin"), fetch.Options{})
			switch {
			case err == nil && digest.FromString(got).String() != content.Digest():
				t.Errorf("%d bytes that are not the file's", len(got))
			case err != nil && !mayFail && (fault.Overcome || fault.Passing):
				t.Errorf("%v, of a fault that passes", err)
			}
		})
	}
}
