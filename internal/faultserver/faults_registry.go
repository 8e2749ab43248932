package faultserver

import (
	"io"
	"net/http"
	"slices"
	"strings"
)

// otherDigest is one that nothing has.
const otherDigest = "sha256:00000000000000000000000000000000000000000000000000000000000000ff"

// manifestFaults are of manifests (16, 17, 30).
func manifestFaults() []Fault {
	all := []Fault{
		{Case: 15, Name: "15 500 for a manifest", Passing: true, apply: answered(500)},
		{Case: 16, Name: "16 404 for a manifest", apply: func(_ *exchange, r *reply) {
			r.become(registryError(http.StatusNotFound, "MANIFEST_UNKNOWN"))
		}},
		{Case: 17, Name: "17 401 for a manifest, the token has expired", token: true, apply: func(x *exchange, r *reply) {
			x.s.revokeTokens()
			r.become(x.s.challenge(x))
		}},
		{Case: 30, Name: "30 Docker-Content-Digest of other bytes", apply: func(_ *exchange, r *reply) { r.set("Docker-Content-Digest", otherDigest) }},
		{Case: 30, Name: "30 Docker-Content-Digest of garbage", apply: func(_ *exchange, r *reply) {
			r.set("Docker-Content-Digest", "sha256:../../\x1b[31mx")
		}},
		{Case: 30, Name: "30 no Docker-Content-Digest", Overcome: true, Passing: true, apply: func(_ *exchange, r *reply) { r.del("Docker-Content-Digest") }},
		{Case: 30, Name: "30 manifest changes between HEAD and GET", on: isGet, apply: func(x *exchange, r *reply) {
			changed(x, r, 1)
		}},
		{Case: 30, Name: "30 manifest changes with every GET", on: isGet, apply: func(x *exchange, r *reply) {
			changed(x, r, x.times)
		}},
	}
	for i := range all {
		all[i].Where = OnManifest
	}
	return all
}

func isGet(x *exchange) bool { return x.r.Method == http.MethodGet }

// changed is the same manifest after so many spaces: other bytes, and a digest of their own.
func changed(x *exchange, r *reply, spaces int) {
	if x.manifest == nil {
		return
	}
	raw := strings.Repeat(" ", spaces) + string(x.manifest.Raw)
	r.become(manifestReply(&Manifest{MediaType: x.manifest.MediaType, Raw: []byte(raw)}))
}

// uploadFaults are of pushes (35).
func uploadFaults() []Fault {
	all := []Fault{
		{Name: "35 Location of another host", second: true, apply: func(x *exchange, r *reply) {
			r.set("Location", x.s.second.url("/v2/"+x.repository()+"/blobs/uploads/"+x.session))
		}},
		{Name: "35 Location that is relative", Overcome: true, Passing: true, apply: func(x *exchange, r *reply) {
			r.set("Location", strings.TrimPrefix(r.get("Location"), x.c.host.url("")))
		}},
		{Name: "35 Location with a query", Overcome: true, Passing: true, apply: func(_ *exchange, r *reply) {
			r.set("Location", r.get("Location")+"?_state=a%2Bb%3D%3D")
		}},
		{Name: "35 no Location", on: isKind(uploadStart), apply: func(_ *exchange, r *reply) { r.del("Location") }},
		{Name: "35 PATCH answered 416", Passing: true, on: isKind(uploadPatch), instead: halfChunk},
		{Name: "35 PATCH answered 500", Passing: true, on: isKind(uploadPatch), instead: answered(500)},
		{Name: "35 PATCH that is not known", Overcome: true, Passing: true, on: isKind(uploadPatch), instead: answered(405)},
		{Name: "35 session lost", Passing: true, on: isKind(uploadPatch, uploadPut), instead: func(x *exchange, r *reply) {
			x.s.registry.drop(x.session)
			r.become(registryError(http.StatusNotFound, "BLOB_UPLOAD_UNKNOWN"))
		}},
		{Name: "35 PUT answered 201, and the blob is not there", on: isKind(uploadPut), instead: func(x *exchange, r *reply) {
			_, _ = io.Copy(io.Discard, x.r.Body) // it is thrown away
			x.s.registry.drop(x.session)
			r.become(created(x, x.r.URL.Query().Get("digest")))
		}},
		{Name: "35 PUT answered 500", Passing: true, on: isKind(uploadPut), instead: answered(500)},
		{Name: "35 PUT answered with another digest", on: isKind(uploadPut), apply: func(_ *exchange, r *reply) {
			r.set("Docker-Content-Digest", otherDigest)
		}},
		{Name: "35 413", on: isKind(uploadPatch, uploadPut), instead: answered(413)},
		{Name: "35 mount not done", Overcome: true, Passing: true, on: isMount, instead: func(x *exchange, r *reply) { r.become(x.s.registry.open(x)) }},
		{Name: "35 mount of another digest", on: isMount, apply: func(_ *exchange, r *reply) { r.set("Docker-Content-Digest", otherDigest) }},
		{Name: "35 RST in the body", Passing: true, on: isKind(uploadPatch, uploadPut), instead: func(x *exchange, r *reply) {
			_, _ = io.CopyN(io.Discard, x.r.Body, max(1, x.r.ContentLength/2)) // it is thrown away
			r.raw, r.end = silence, rst
		}},
		{Name: "35 silence after the body", Passing: true, Slow: true, on: isKind(uploadPatch, uploadPut), instead: func(x *exchange, r *reply) {
			_, _ = io.Copy(io.Discard, x.r.Body) // as above
			r.raw, r.end = silence, stall
		}},
	}
	for i := range all {
		all[i].Case, all[i].Where = 35, OnUpload
	}
	return all
}

func isKind(kinds ...kind) func(*exchange) bool {
	return func(x *exchange) bool { return slices.Contains(kinds, x.kind) }
}

func isMount(x *exchange) bool { return x.kind == uploadStart && x.r.URL.Query().Get("mount") != "" }

// halfChunk takes half of a chunk and says that the client is out of step: the Range it answers with tells how far it is.
func halfChunk(x *exchange, r *reply) {
	g := x.s.registry
	g.mu.Lock()
	up := g.sessions[x.session]
	g.mu.Unlock()
	if up == nil {
		r.become(registryError(http.StatusNotFound, "BLOB_UPLOAD_UNKNOWN"))
		return
	}
	r.become(up.patch(x, x.r.ContentLength/2))
	r.status = http.StatusRequestedRangeNotSatisfiable
}
