package registry

import (
	"fmt"
	"regexp"
	"strings"

	"github.com/opencontainers/go-digest"

	"github.com/mstore/mstore/fetch/source"
)

// defaultTag is what a reference without tag and digest means, as in docker.
const defaultTag = "latest"

var (
	hostPattern = regexp.MustCompile(`^([a-z0-9]([a-z0-9._-]*[a-z0-9])?|\[[0-9a-f:.]+\])(:[0-9]{1,5})?$`)
	repoPattern = regexp.MustCompile(`^[a-z0-9]+(([._]|__|-+)[a-z0-9]+)*(/[a-z0-9]+(([._]|__|-+)[a-z0-9]+)*)*$`)
	tagPattern  = regexp.MustCompile(`^[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}$`)
)

// maxRepository is the distribution spec's limit for host and repository together.
const maxRepository = 255

// Reference is what a reference says: HOST/REPOSITORY[:TAG][@DIGEST].
type Reference struct {
	Host       string // with its port, if any
	Repository string
	Tag        string        // empty only when there is a digest
	Digest     digest.Digest // empty when nothing is pinned
}

// ParseReference reads a reference without its scheme. Without tag and digest the tag is "latest". The host is taken
// in lower case. The error is ErrReference and says what is wrong.
func ParseReference(s string) (Reference, error) {
	host, rest, ok := strings.Cut(s, "/")
	if !ok || rest == "" {
		return Reference{}, refuse(s, "want HOST/REPOSITORY[:TAG][@sha256:DIGEST]")
	}
	host, err := parseHost(host)
	if err != nil {
		return Reference{}, refuse(s, err.Error())
	}
	r := Reference{Host: host}
	rest, pinned, isPinned := strings.Cut(rest, "@")
	if isPinned {
		if r.Digest = digest.Digest(pinned); r.Digest.Validate() != nil || r.Digest.Algorithm() != digest.SHA256 {
			return Reference{}, refuse(s, "after the @ stands sha256: and 64 lower-case hexadecimal digits")
		}
	}
	if colon := strings.LastIndexByte(rest, ':'); colon > strings.LastIndexByte(rest, '/') {
		rest, r.Tag = rest[:colon], rest[colon+1:]
		if !tagPattern.MatchString(r.Tag) {
			return Reference{}, refuse(s, fmt.Sprintf("%q is no tag: up to 128 letters, digits, '_', '.' and '-'", clip(r.Tag)))
		}
	}
	if r.Tag == "" && !isPinned {
		r.Tag = defaultTag
	}
	r.Repository = rest
	return r, r.check(s)
}

// check judges the repository of a reference that was typed as s.
func (r Reference) check(s string) error {
	switch lower := strings.ToLower(r.Repository); {
	case len(r.Host)+1+len(r.Repository) > maxRepository:
		return refuse(s, fmt.Sprintf("host and repository are longer than %d bytes", maxRepository))
	case repoPattern.MatchString(r.Repository):
		return nil
	case repoPattern.MatchString(lower):
		return refuse(s, fmt.Sprintf("a registry's repositories are in lower case; try %q", lower))
	}
	return refuse(s, fmt.Sprintf("%q is no repository: lower-case words of a-z and 0-9, joined by '.', '_', '-' and '/'", clip(r.Repository)))
}

// parseHost reads the host of a registry, with or without a port.
func parseHost(s string) (string, error) {
	host := strings.ToLower(s)
	if !hostPattern.MatchString(host) {
		return "", fmt.Errorf("%q is no host", clip(s))
	}
	if name, _, _ := strings.Cut(host, ":"); strings.ContainsAny(host, ".:") || name == "localhost" {
		return host, nil
	}
	return "", fmt.Errorf("%q is no registry: its host has a dot or a port, or is localhost", clip(s))
}

// Name is the reference as a store names it: by its tag where it has one.
func (r Reference) Name() string {
	if r.Tag != "" {
		return r.Host + "/" + r.Repository + ":" + r.Tag
	}
	return r.String()
}

// String is the whole reference; ParseReference reads it.
func (r Reference) String() string {
	s := r.Host + "/" + r.Repository
	if r.Tag != "" {
		s += ":" + r.Tag
	}
	if r.Digest != "" {
		s += "@" + string(r.Digest)
	}
	return s
}

// apiHost is the host that answers for a registry: Docker Hub's is not the one in its references.
func apiHost(host string) string {
	if host == "docker.io" || host == "index.docker.io" {
		return "registry-1.docker.io"
	}
	return host
}

// apiRepository is the repository as its registry knows it.
func (r Reference) apiRepository() string {
	if apiHost(r.Host) == "registry-1.docker.io" && !strings.Contains(r.Repository, "/") {
		return "library/" + r.Repository
	}
	return r.Repository
}

func refuse(s, why string) error { return fmt.Errorf("%w: %q: %s", source.ErrReference, clip(s), why) }

// clip keeps an error about a hostile string short.
func clip(s string) string {
	const most = 200
	if len(s) <= most {
		return s
	}
	return s[:most] + "..."
}
