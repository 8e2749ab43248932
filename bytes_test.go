package mstore_test

import (
	"bytes"
	"fmt"
	"net/http"
	"testing"

	"github.com/opencontainers/go-digest"

	"github.com/mstore/mstore"
	"github.com/mstore/mstore/manifest"
)

func flipped(b []byte) []byte {
	b = bytes.Clone(b)
	b[len(b)/2] ^= 1
	return b
}

// TestBlobsThatAreNotWhatTheyShould serves a blob that is wrong: always, or the first time. Wrong bytes are asked for
// once more and not again; they are never stored, and their digest is not held against who serves it right later.
func TestBlobsThatAreNotWhatTheyShould(t *testing.T) {
	right := content(300<<10, 1)
	wrong, short, long := flipped(right), right[:200<<10], append(bytes.Clone(right), "more"...)
	status := func(code int) blobHandler {
		return func(w http.ResponseWriter, _ *http.Request, _ int) { w.WriteHeader(code) }
	}
	send := func(b []byte) blobHandler {
		return func(w http.ResponseWriter, _ *http.Request, _ int) { _, _ = w.Write(b) }
	}
	sized := func(b []byte, size int) blobHandler {
		return func(w http.ResponseWriter, _ *http.Request, _ int) {
			w.Header().Set("Content-Length", fmt.Sprint(size))
			_, _ = w.Write(b)
		}
	}
	for name, c := range map[string]struct {
		bad     blobHandler
		retries int
		always  mstore.Class // the error when it is always bad; "": none
		tries   int          // how often the blob is asked for then
	}{
		"wrong bytes":                {send(wrong), 5, mstore.ErrVerification, 2},
		"wrong bytes, no retries":    {send(wrong), -1, mstore.ErrVerification, 2},
		"another blob":               {send(content(300<<10, 2)), 5, mstore.ErrVerification, 2},
		"short":                      {sized(short, len(short)), -1, mstore.ErrNetwork, 0},
		"cut":                        {sized(short, len(right)), -1, mstore.ErrNetwork, 0},
		"empty":                      {send(nil), -1, mstore.ErrNetwork, 0},
		"longer, and right so far":   {sized(long, len(long)), -1, "", 1},
		"longer, and wrong":          {send(append(flipped(right), "more"...)), -1, mstore.ErrVerification, 2},
		"404":                        {status(http.StatusNotFound), -1, mstore.ErrNotFound, 1},
		"403":                        {status(http.StatusForbidden), -1, mstore.ErrAuthentication, 1},
		"500":                        {status(http.StatusInternalServerError), -1, mstore.ErrNetwork, 1},
		"503, retried":               {status(http.StatusServiceUnavailable), 1, mstore.ErrNetwork, 2},
		"416 for what is no range":   {status(http.StatusRequestedRangeNotSatisfiable), -1, mstore.ErrNetwork, 0},
		"206 for what is no range":   {status(http.StatusPartialContent), -1, mstore.ErrNetwork, 0},
		"a redirect without a place": {status(http.StatusTemporaryRedirect), -1, mstore.ErrNetwork, 0},
	} {
		t.Run(name, func(t *testing.T) {
			s, f := newStore(t), newFake(t)
			d := f.model(t, "v1", right).Digest
			f.serve(d, c.bad)
			o := mstore.PullOptions{Retries: c.retries}
			_, err := s.Pull(t.Context(), f.Host+"/m:v1", o)
			if c.always != "" {
				wantFailure(t, "Pull", err, c.always)
				wantUnpublished(t, s, d)
			} else if err != nil {
				t.Errorf("Pull = %v", err)
			}
			if got := f.tries(d); c.tries > 0 && got != c.tries {
				t.Errorf("the blob was asked for %d times, want %d", got, c.tries)
			}
			f.blob(right)
			p := pull(t, s, f.Host+"/m:v1", mstore.PullOptions{})
			if fileOf(t, p.Model, "model.gguf").Digest != d {
				t.Errorf("Pull = %+v", p)
			}
		})
	}
}

func wantUnpublished(t *testing.T, s *mstore.Store, d digest.Digest) {
	t.Helper()
	if got := look(t, s); len(got.Tags) != 0 {
		t.Errorf("there are tags: %v", got.Tags)
	}
	if _, err := s.Blobs().Stat(d); err == nil {
		t.Errorf("%s is in the store", d)
	}
}

func TestWrongBytesOnce(t *testing.T) {
	right := content(300<<10, 1)
	s, f := newStore(t), newFake(t)
	d := f.model(t, "v1", right).Digest
	f.serve(d, func(w http.ResponseWriter, _ *http.Request, try int) {
		if try == 1 {
			_, _ = w.Write(flipped(right))
			return
		}
		_, _ = w.Write(right)
	})
	p := pull(t, s, f.Host+"/m:v1", once)
	if p.Retries != 1 || f.tries(d) != 2 || fileOf(t, p.Model, "model.gguf").Digest != d {
		t.Errorf("Pull = %+v, after %d tries", p, f.tries(d))
	}
}

// TestOneDigestInSeveralRoles lists one digest as config and as layers; one of the answers is bad, whichever is asked
// for first (a registry client that checked only the layers stored the other).
func TestOneDigestInSeveralRoles(t *testing.T) {
	right := content(50<<10, 1)
	d := digest.FromBytes(right)
	m := artifact(layer(d, len(right), "a"), layer(d, len(right), "b"))
	m["config"] = doc{"mediaType": "application/x-config", "digest": d, "size": len(right)}
	for bad := 1; bad <= 3; bad++ {
		s, f := newStore(t), newFake(t)
		f.manifest("v1", manifestType, m.raw(t))
		f.serve(d, func(w http.ResponseWriter, _ *http.Request, try int) {
			if try == bad {
				_, _ = w.Write(flipped(right))
				return
			}
			_, _ = w.Write(right)
		})
		p := pull(t, s, f.Host+"/m:v1", once)
		if len(p.Files) != 2 || p.BytesFetched > 3*p.Size {
			t.Errorf("answer %d is bad: Pull = %+v", bad, p)
		}
		f.serve(d, func(w http.ResponseWriter, _ *http.Request, _ int) { _, _ = w.Write(flipped(right)) })
		other := newStore(t)
		changesNothing(t, "every answer is bad", other, mstore.ErrVerification, func() error {
			_, err := other.Pull(t.Context(), f.Host+"/m:v1", once)
			return err
		})
	}
}

// TestWrongBytesOfAResumedBlob resumes a partial blob whose bytes were wrong: one clean download mends it.
func TestWrongBytesOfAResumedBlob(t *testing.T) {
	right := content(300<<10, 1)
	s, f := newStore(t), newFake(t)
	d := f.model(t, "v1", right).Digest
	f.serve(d, func(w http.ResponseWriter, _ *http.Request, _ int) {
		w.Header().Set("Content-Length", fmt.Sprint(len(right)))
		_, _ = w.Write(flipped(right)[:200<<10])
	})
	_, err := s.Pull(t.Context(), f.Host+"/m:v1", once)
	wantFailure(t, "Pull", err, mstore.ErrNetwork)
	f.blob(right)
	p := pull(t, s, f.Host+"/m:v1", once)
	if p.Retries != 1 || p.BytesReused >= 200<<10 || fileOf(t, p.Model, "model.gguf").Digest != d {
		t.Errorf("Pull = %+v", p)
	}
}

// TestManySmallFiles pulls a model of more files than anybody has, some of them empty, some of one content.
func TestManySmallFiles(t *testing.T) {
	var files []manifest.File
	s, f := newStore(t), newFake(t)
	for i := range 300 {
		b := content(i%50, byte(i))
		files = append(files, manifest.File{Path: fmt.Sprintf("part/%d/%d.bin", i%7, i), Descriptor: f.blob(b)})
	}
	m, config, err := manifest.Build(manifest.Draft{Files: files})
	try(t, err)
	f.blob(config)
	f.manifest("v1", m.Descriptor.MediaType, m.Raw)
	p := pull(t, s, f.Host+"/m:v1", once)
	if p.Count != 300 || p.Digest != m.Descriptor.Digest || p.BytesFetched != p.Size {
		t.Errorf("%d files, fetched %d of %d", p.Count, p.BytesFetched, p.Size)
	}
}
