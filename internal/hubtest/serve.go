package hubtest

import (
	"crypto/sha1"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
)

// oid is the object id that git gives the file, or, of an LFS file, something of its form.
func (f File) oid() string {
	if f.ListedOID != "" {
		return f.ListedOID
	}
	data := f.Data
	if f.LFS {
		data = []byte(f.sha256())
	}
	sum := sha1.Sum(fmt.Appendf(nil, "blob %d\x00%s", len(data), data))
	return hex.EncodeToString(sum[:])
}

func (f File) sha256() string {
	if f.ListedSHA256 != "" {
		return f.ListedSHA256
	}
	if f.Size != 0 { // nobody reads so many zeros
		return strings.Repeat("0", 64)
	}
	sum := sha256.Sum256(f.Data)
	return hex.EncodeToString(sum[:])
}

// serve is the hub itself.
func (h *Hub) serve(w http.ResponseWriter, r *http.Request) {
	h.note(r, false)
	if h.opts.Before != nil && h.opts.Before(w, r) {
		return
	}
	path, ok := strings.CutPrefix(r.URL.EscapedPath(), h.opts.Prefix+"/")
	if !ok {
		fail(w, http.StatusNotFound, "", "Not found")
		return
	}
	api := strings.HasPrefix(path, "api/models/")
	id, rest := split(strings.TrimPrefix(path, "api/models/"), "/revision/", "/tree/", "/resolve/")
	verb, rest, _ := strings.Cut(rest, "/")
	revision, file, _ := strings.Cut(rest, "/")
	revision, _ = url.PathUnescape(revision)
	repo, status := h.open(w, r, id)
	if !status {
		return
	}
	sha, files, ok := h.find(repo, revision)
	switch {
	case !ok:
		fail(w, http.StatusNotFound, "RevisionNotFound", "Invalid rev id: "+revision)
	case api && verb == "revision":
		answer(w, map[string]any{"id": repo.ID, "sha": sha, "private": repo.Private, "gated": repo.Gated, "siblings": []any{}})
	case api && verb == "tree":
		h.list(w, r, files)
	case !api && verb == "resolve":
		h.file(w, r, repo, sha, files, file)
	default:
		fail(w, http.StatusNotFound, "", "Sorry, we can't find the page you are looking for.")
	}
}

// split cuts path before the first of the marks that it has; the rest begins with the mark's word.
func split(path string, marks ...string) (before, after string) {
	for _, m := range marks {
		if before, after, ok := strings.Cut(path, m); ok {
			return before, m[1:] + after
		}
	}
	return path, ""
}

// open finds a repository for who asks, or answers why not, as the hub does: to nobody in particular it says 401 for
// what it does not have.
func (h *Hub) open(w http.ResponseWriter, r *http.Request, id string) (*repo, bool) {
	h.mu.Lock()
	found, ok := h.repos[id]
	h.mu.Unlock()
	auth := r.Header.Get("Authorization")
	known := h.opts.Token != "" && auth == "Bearer "+h.opts.Token
	switch {
	case auth != "" && !known:
		fail(w, http.StatusUnauthorized, "", "Invalid credentials in Authorization header")
	case (!ok || found.Private) && auth == "":
		w.Header().Set("WWW-Authenticate", `Bearer realm="Authentication required", charset="UTF-8"`)
		fail(w, http.StatusUnauthorized, "", "Invalid username or password.")
	case !ok:
		fail(w, http.StatusNotFound, "RepoNotFound", "Repository not found")
	case found.Disabled:
		fail(w, http.StatusForbidden, "DisabledRepo", "Access to this resource is disabled.")
	default:
		return found, true
	}
	return nil, false
}

func (h *Hub) find(r *repo, revision string) (sha string, files commit, ok bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if sha, ok = r.refs[revision]; !ok {
		sha = revision
	}
	files, ok = r.commits[sha]
	return sha, files, ok
}

func fail(w http.ResponseWriter, status int, code, message string) {
	if code != "" {
		w.Header().Set("X-Error-Code", code)
	}
	w.Header().Set("X-Error-Message", message)
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(map[string]string{"error": message})
}

func answer(w http.ResponseWriter, v any) {
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	_ = json.NewEncoder(w).Encode(v)
}

// list is a page of the files of a commit, with the folders that they are in.
func (h *Hub) list(w http.ResponseWriter, r *http.Request, files commit) {
	paths := slices.Sorted(maps.Keys(files))
	from, _ := strconv.Atoi(r.URL.Query().Get("cursor"))
	from = max(0, min(from, len(paths)))
	to := min(from+h.opts.PageSize, len(paths))
	entries := []map[string]any{}
	for i, path := range paths[from:to] {
		if dir, _, ok := strings.Cut(path, "/"); ok && i == 0 {
			entries = append(entries, map[string]any{"type": "directory", "oid": strings.Repeat("d", 40), "size": 0, "path": dir})
		}
		f := files[path]
		entry := map[string]any{"type": "file", "oid": f.oid(), "size": f.size(), "path": path}
		if f.LFS {
			entry["lfs"] = map[string]any{"oid": f.sha256(), "size": f.size(), "pointerSize": 134}
			entry["xetHash"] = strings.Repeat("e", 64)
		}
		entries = append(entries, entry)
	}
	if to < len(paths) {
		next := *r.URL
		q := next.Query()
		q.Set("cursor", strconv.Itoa(to))
		next.RawQuery = q.Encode()
		w.Header().Set("Link", "<http://"+r.Host+next.RequestURI()+`>; rel="next"`)
	}
	answer(w, entries)
}

// file is a file of a commit: at once, or by a signed link.
func (h *Hub) file(w http.ResponseWriter, r *http.Request, repo *repo, sha string, files commit, escaped string) {
	path, _ := url.PathUnescape(escaped)
	f, ok := files[path]
	auth := r.Header.Get("Authorization") != ""
	w.Header().Set("X-Repo-Commit", sha)
	switch {
	case repo.Gated && !auth:
		fail(w, http.StatusUnauthorized, "GatedRepo", "Access to model "+repo.ID+" is restricted. You must have access to it and be authenticated to access it. Please log in.")
	case repo.Gated && !h.opts.Granted:
		fail(w, http.StatusForbidden, "GatedRepo", "Access to model "+repo.ID+" is restricted and you are not in the authorized list.")
	case !ok:
		fail(w, http.StatusNotFound, "EntryNotFound", "Entry not found")
	case !f.LFS:
		w.Header().Set("ETag", `"`+f.oid()+`"`)
		http.ServeContent(w, r, path, time.Time{}, f.content())
	default:
		h.mu.Lock()
		h.links++
		link := fmt.Sprintf("http://%s/%s/%s/%s?X-Amz-Expires=3600&X-Amz-Signature=%d", h.CDN, repo.ID, sha, escaped, h.links)
		h.mu.Unlock()
		w.Header().Set("X-Linked-Etag", `"`+f.sha256()+`"`)
		w.Header().Set("X-Linked-Size", strconv.FormatInt(f.size(), 10))
		w.Header().Set("X-Xet-Hash", strings.Repeat("e", 64))
		http.Redirect(w, r, link, http.StatusFound)
	}
}

// serveCDN takes the links that were signed and have not run out.
func (h *Hub) serveCDN(w http.ResponseWriter, r *http.Request) {
	h.note(r, true)
	h.mu.Lock()
	link, err := strconv.Atoi(r.URL.Query().Get("X-Amz-Signature"))
	good := err == nil && link >= h.from && link <= h.links
	var f File
	for id, repo := range h.repos {
		sha, path, _ := strings.Cut(strings.TrimPrefix(r.URL.Path, "/"+id+"/"), "/")
		if c, ok := repo.commits[sha]; ok {
			f = c[path]
		}
	}
	h.mu.Unlock()
	switch {
	case !good:
		w.Header().Set("Content-Type", "application/xml")
		w.WriteHeader(http.StatusForbidden)
		_, _ = w.Write([]byte("<Error><Code>AccessDenied</Code><Message>Request has expired</Message></Error>"))
	case f.Path == "":
		w.WriteHeader(http.StatusNotFound)
	default:
		w.Header().Set("ETag", `"`+strings.Repeat("c", 32)+`"`) // its own, which is no digest
		http.ServeContent(w, r, "", time.Time{}, f.content())
	}
}
