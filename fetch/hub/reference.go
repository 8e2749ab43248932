package hub

import (
	"crypto/sha256"
	"fmt"
	"regexp"
	"strings"
	"unicode"

	"github.com/mstore/mstore/fetch/source"
)

const (
	defaultRevision = "main"
	// anyQuant is what clients of Ollama say for no quantisation.
	anyQuant = "latest"
	// nameHost begins the names of models in a store, whatever hub they come from.
	nameHost = "hf.co"

	maxRevision = 255
	maxSelector = 512
	maxTag      = 128
)

var (
	idPattern     = regexp.MustCompile(`^[A-Za-z0-9_]([A-Za-z0-9._-]{0,94}[A-Za-z0-9_])?(/[A-Za-z0-9_]([A-Za-z0-9._-]{0,94}[A-Za-z0-9_])?)?$`)
	commitPattern = regexp.MustCompile(`^[0-9a-f]{40}$`)
)

// Reference is what a reference says: ORG/NAME[:SELECTOR][@REVISION]. The oldest repositories are a NAME alone.
type Reference struct {
	ID string
	// Selector is a quantisation of a GGUF repository, in upper case, or a file of the repository; "" for neither.
	Selector string
	// Revision is a branch, tag, commit or refs/pr/N; never empty.
	Revision string
}

// ParseReference reads a reference without its scheme or host. All after the first @ is the revision, which is "main"
// where there is none. A selector with a dot or a slash is a file, "latest" is none, and any other a quantisation. The
// error is source.ErrReference and says what is wrong.
func ParseReference(s string) (Reference, error) {
	rest, revision, hasRevision := strings.Cut(s, "@")
	id, selector, hasSelector := strings.Cut(rest, ":")
	r := Reference{ID: id, Selector: selector, Revision: revision}
	if !hasRevision {
		r.Revision = defaultRevision
	}
	switch {
	case selector == anyQuant:
		r.Selector = ""
	case !r.namesFile():
		r.Selector = strings.ToUpper(selector)
	}
	owner, _, hasOwner := strings.Cut(id, "/")
	switch {
	case hasOwner && (owner == "datasets" || owner == "spaces"):
		return Reference{}, refuse(s, owner+" are no models, and are not pulled")
	case !idPattern.MatchString(id), strings.Contains(id, ".."), strings.Contains(id, "--"), strings.HasSuffix(id, ".git"):
		return Reference{}, refuse(s, "want ORG/NAME[:QUANTISATION or FILE][@REVISION]")
	case hasSelector && !isText(selector, maxSelector):
		return Reference{}, refuse(s, "after the : stands a quantisation such as Q4_K_M, or a file of the repository")
	case strings.Contains(r.Revision, ":"):
		return Reference{}, refuse(s, "the quantisation stands before the revision: "+nameHost+"/ORG/NAME:QUANTISATION@REVISION")
	case !isText(r.Revision, maxRevision), strings.Contains(r.Revision, ".."):
		return Reference{}, refuse(s, "after the @ stands a branch, a tag, a commit or refs/pr/NUMBER")
	}
	return r, nil
}

// isText tells whether s is something, of limited length, that shows all that it is.
func isText(s string, most int) bool {
	return s != "" && len(s) <= most && !strings.ContainsFunc(s, func(r rune) bool {
		return !unicode.IsGraphic(r) || unicode.IsSpace(r) || r == unicode.ReplacementChar || r == '\\'
	})
}

// namesFile tells a selector that is a file from one that is a quantisation.
func (r Reference) namesFile() bool { return strings.ContainsAny(r.Selector, "./") }

// isCommit tells whether the revision can never be anything else.
func (r Reference) isCommit() bool { return commitPattern.MatchString(r.Revision) }

// String is the reference as short as it can be; ParseReference reads it.
func (r Reference) String() string {
	s := r.ID
	if r.Selector != "" {
		s += ":" + r.Selector
	}
	if r.Revision != defaultRevision {
		s += "@" + r.Revision
	}
	return s
}

// Name is the reference as a store names it, hf.co/ORG/NAME:TAG. The tag is the selector, the revision, or both with a
// dash between them where the revision is not "main"; characters that a tag does not have become dashes.
func (r Reference) Name() string {
	var tag string
	switch {
	case r.Selector == "":
		tag = r.Revision
	case r.Revision == defaultRevision:
		tag = r.Selector
	default:
		tag = r.Selector + "-" + r.Revision
	}
	return nameHost + "/" + r.ID + ":" + legalTag(tag)
}

// legalTag makes a tag of the distribution spec. What is too long ends in a part of its hash.
func legalTag(s string) string {
	tag := strings.Map(func(c rune) rune {
		switch {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9', c == '_', c == '.', c == '-':
			return c
		}
		return '-'
	}, s)
	if tag[0] == '.' || tag[0] == '-' {
		tag = "_" + tag[1:]
	}
	if len(tag) <= maxTag {
		return tag
	}
	hash := fmt.Sprintf("-%.6x", sha256.Sum256([]byte(s)))
	return tag[:maxTag-len(hash)] + hash
}

func refuse(s, why string) error {
	const most = 200
	if len(s) > most {
		s = s[:most] + "..."
	}
	return fmt.Errorf("%w: %q: %s", source.ErrReference, s, why)
}
