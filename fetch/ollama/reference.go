package ollama

import (
	"fmt"
	"regexp"
	"strings"

	"github.com/mstore/mstore/fetch/source"
)

// What a reference means that does not say it, as in Ollama.
const (
	defaultHost      = "registry.ollama.ai"
	defaultNamespace = "library"
	defaultTag       = "latest"

	// site is the web site of the default host, and its name in references and in stores.
	site = "ollama.com"
)

// The parts of a name, by Ollama's own rules (types/model in its source). Its hosts are hosts of URLs here.
var (
	hostPattern      = regexp.MustCompile(`^[a-z0-9_]([a-z0-9._-]{0,341}[a-z0-9_])?(:[0-9]{1,5})?$`)
	namespacePattern = regexp.MustCompile(`^[A-Za-z0-9_][A-Za-z0-9_-]{0,79}$`)
	partPattern      = regexp.MustCompile(`^[A-Za-z0-9_][A-Za-z0-9_.-]{0,79}$`)
)

// Reference is what a reference says: [[HOST/]NAMESPACE/]MODEL[:TAG].
type Reference struct {
	Host      string // with its port, if any
	Namespace string
	Model     string
	Tag       string
}

// ParseReference reads a reference without its scheme and fills in what it leaves out: Ollama's own registry, the
// namespace "library", the tag "latest". The host is taken in lower case, and ollama.com for the registry behind it;
// all else keeps its case. The error is ErrReference and says what is wrong.
func ParseReference(s string) (Reference, error) {
	r := Reference{Host: defaultHost, Namespace: defaultNamespace, Tag: defaultTag}
	rest := s
	if colon := strings.LastIndexByte(rest, ':'); colon > strings.LastIndexByte(rest, '/') {
		rest, r.Tag = rest[:colon], rest[colon+1:]
	}
	parts := strings.Split(rest, "/")
	if strings.EqualFold(parts[0], site) && len(parts) == 2 { // the address of a model of the library, as a browser shows it
		parts = parts[1:]
	}
	switch len(parts) {
	case 1:
		r.Model = parts[0]
	case 2:
		r.Namespace, r.Model = parts[0], parts[1]
	case 3:
		r.Host, r.Namespace, r.Model = strings.ToLower(parts[0]), parts[1], parts[2]
	default:
		return Reference{}, refuse(s, "want [[HOST/]NAMESPACE/]MODEL[:TAG]")
	}
	if r.Host == site {
		r.Host = defaultHost
	}
	return r, r.check(s)
}

// check judges the parts of a reference that was typed as s.
func (r Reference) check(s string) error {
	switch {
	case strings.Contains(s, "@"):
		return refuse(s, "Ollama's registry has no references by digest")
	case !hostPattern.MatchString(r.Host):
		return refuse(s, fmt.Sprintf("%q is no host", clip(r.Host)))
	case !namespacePattern.MatchString(r.Namespace):
		return refuse(s, fmt.Sprintf("%q is no namespace: up to 80 letters, digits, '_' and '-' (a host stands before one)", clip(r.Namespace)))
	case !partPattern.MatchString(r.Model):
		return refuse(s, fmt.Sprintf("%q is no model: up to 80 letters, digits, '_', '.' and '-'", clip(r.Model)))
	case !partPattern.MatchString(r.Tag):
		return refuse(s, fmt.Sprintf("%q is no tag: up to 80 letters, digits, '_', '.' and '-'", clip(r.Tag)))
	}
	return nil
}

// Name is the reference as a store names it: ollama.com/library/llama3:latest.
func (r Reference) Name() string {
	if r.Host == defaultHost {
		return site + "/" + r.path()
	}
	return r.Host + "/" + r.path()
}

// String is the reference without what Ollama's own registry goes without; ParseReference reads it.
func (r Reference) String() string {
	if r.Host == defaultHost {
		return r.path()
	}
	return r.Host + "/" + r.path()
}

func (r Reference) path() string { return r.Namespace + "/" + r.Model + ":" + r.Tag }

func refuse(s, why string) error { return fmt.Errorf("%w: %q: %s", source.ErrReference, clip(s), why) }

// clip keeps an error about a hostile string short.
func clip(s string) string {
	const most = 200
	if len(s) <= most {
		return s
	}
	return s[:most] + "..."
}
