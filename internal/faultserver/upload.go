package faultserver

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"sync"
)

// session is a blob that is being pushed. It is kept in memory.
type session struct {
	mu   sync.Mutex
	data []byte
}

// received is the body of a request, which is counted.
type received struct {
	io.ReadCloser

	x *exchange
}

func (r received) Read(p []byte) (int, error) {
	n, err := r.ReadCloser.Read(p)
	r.x.s.counts.note(func() { r.x.entry.Received += int64(n) })
	return n, err
}

// upload answers what lies below blobs/uploads/.
func (g *registry) upload(x *exchange) *reply {
	if x.r.Method == http.MethodPost {
		return g.start(x)
	}
	g.mu.Lock()
	up := g.sessions[x.session]
	g.mu.Unlock()
	if up == nil {
		return registryError(http.StatusNotFound, "BLOB_UPLOAD_UNKNOWN")
	}
	switch x.r.Method {
	case http.MethodGet:
		return up.told(x, http.StatusNoContent)
	case http.MethodPatch:
		return up.patch(x, -1)
	case http.MethodPut:
		return g.put(x, up)
	case http.MethodDelete:
		g.drop(x.session)
		return newReply(http.StatusNoContent)
	}
	return registryError(http.StatusMethodNotAllowed, "UNSUPPORTED")
}

// start opens a session, or mounts a blob that is there.
func (g *registry) start(x *exchange) *reply {
	query := x.r.URL.Query()
	if digest := query.Get("mount"); digest != "" && g.blob(digest) != nil {
		return created(x, digest)
	}
	if digest := query.Get("digest"); digest != "" { // all in one request
		return g.put(x, &session{})
	}
	return g.open(x)
}

// open opens a session.
func (g *registry) open(x *exchange) *reply {
	g.s.mu.Lock()
	x.session = fmt.Sprintf("session-%d", g.s.next())
	g.s.mu.Unlock()
	up := &session{}
	g.mu.Lock()
	g.sessions[x.session] = up
	g.mu.Unlock()
	return up.told(x, http.StatusAccepted)
}

// told is an answer that says how far the session is and where it goes on.
func (u *session) told(x *exchange, status int) *reply {
	u.mu.Lock()
	defer u.mu.Unlock()
	return newReply(status,
		field{"Location", x.c.host.url("/v2/" + x.repository() + "/blobs/uploads/" + x.session)},
		field{"Range", fmt.Sprintf("0-%d", max(0, len(u.data)-1))},
		field{"Docker-Upload-UUID", x.session})
}

// patch takes a chunk, or the first limit bytes of it when that is not negative.
func (u *session) patch(x *exchange, limit int64) *reply {
	u.mu.Lock()
	if span := x.r.Header.Get("Content-Range"); span != "" {
		if from, _, _ := strings.Cut(span, "-"); from != strconv.Itoa(len(u.data)) {
			u.mu.Unlock()
			return u.told(x, http.StatusRequestedRangeNotSatisfiable)
		}
	}
	body := io.Reader(x.r.Body)
	if limit >= 0 {
		body = io.LimitReader(body, limit)
	}
	more, err := io.ReadAll(body)
	u.data = append(u.data, more...)
	u.mu.Unlock()
	if err != nil {
		return registryError(http.StatusBadRequest, "SIZE_INVALID")
	}
	return u.told(x, http.StatusAccepted)
}

// put takes the last bytes and makes a blob of all, when they have the digest that the client says.
func (g *registry) put(x *exchange, up *session) *reply {
	up.mu.Lock()
	more, err := io.ReadAll(x.r.Body)
	up.data = append(up.data, more...)
	b := &Blob{Data: bytes.NewReader(up.data), Size: int64(len(up.data))}
	up.mu.Unlock()
	b.Digest = b.digest()
	if digest := x.r.URL.Query().Get("digest"); err != nil || digest != b.Digest {
		return registryError(http.StatusBadRequest, "DIGEST_INVALID")
	}
	g.blob("") // the server's own are in the map
	g.mu.Lock()
	g.blobs[b.Digest] = b
	g.mu.Unlock()
	g.drop(x.session)
	return created(x, b.Digest)
}

func created(x *exchange, digest string) *reply {
	return newReply(http.StatusCreated,
		field{"Location", x.c.host.url("/v2/" + x.repository() + "/blobs/" + digest)},
		field{"Docker-Content-Digest", digest})
}

// drop forgets a session.
func (g *registry) drop(name string) {
	g.mu.Lock()
	delete(g.sessions, name)
	g.mu.Unlock()
}

// maxManifest is what real registries take.
const maxManifest = 4 << 20

// putManifest takes a manifest, by tag or digest, whose blobs are there.
func (g *registry) putManifest(x *exchange, repository, name string) *reply {
	raw, err := io.ReadAll(io.LimitReader(x.r.Body, maxManifest+1))
	if err != nil || len(raw) > maxManifest {
		return registryError(http.StatusRequestEntityTooLarge, "MANIFEST_INVALID")
	}
	m := Manifest{Repository: repository, Tag: name, MediaType: x.r.Header.Get("Content-Type"), Raw: raw}
	if strings.HasPrefix(name, "sha256:") {
		if m.Tag = ""; m.Digest() != name {
			return registryError(http.StatusBadRequest, "DIGEST_INVALID")
		}
	}
	for _, digest := range layers(raw) {
		if g.blob(digest) == nil {
			return registryError(http.StatusBadRequest, "MANIFEST_BLOB_UNKNOWN")
		}
	}
	g.mu.Lock()
	g.manifests = append(g.manifests, m)
	g.mu.Unlock()
	return newReply(http.StatusCreated, field{"Docker-Content-Digest", m.Digest()},
		field{"Location", x.c.host.url("/v2/" + repository + "/manifests/" + m.Digest())})
}
