package hub

import (
	"context"
	"fmt"
	"net/url"
	"regexp"
	"slices"
	"strings"

	"github.com/mstore/mstore/fetch/guard"
	"github.com/mstore/mstore/fetch/source"
	"github.com/mstore/mstore/fetch/transfer"
	"github.com/mstore/mstore/manifest"
)

const (
	// maxPages is ten times what the hub needs for as many files as a model may have.
	maxPages = 100
	// maxListing is how many bytes all pages of a list may have.
	maxListing = 64 << 20
)

var sha256Pattern = regexp.MustCompile(`^[0-9a-f]{64}$`)

// entry is one line of the list of a commit's files.
type entry struct {
	Type string `json:"type"`
	Path string `json:"path"`
	Size int64  `json:"size"`
	OID  string `json:"oid"` // that git gives the file, or the pointer to the LFS object
	LFS  *struct {
		OID  string `json:"oid"` // sha256 of the content
		Size int64  `json:"size"`
	} `json:"lfs"`
}

// list gets all files of the commit, in the order of their paths.
func (r *repository) list(ctx context.Context, opts transfer.Options) ([]entry, error) {
	next := r.client.base.String() + r.path("tree", r.commit) + "?recursive=true&expand=false"
	var all []entry
	seen, size := make(map[string]bool), 0
	for next != "" {
		if seen[next] || len(seen) == maxPages {
			return nil, fmt.Errorf("%s: %w: the list of its files does not end", r, source.ErrProtocol)
		}
		seen[next] = true
		var page []entry
		got, err := r.ask(ctx, next, opts, &page)
		if err != nil {
			return nil, err
		}
		for _, e := range page {
			if e.Type == "file" {
				all = append(all, e)
			}
		}
		if size += got.size; len(all) > manifest.MaxDescriptors || size > maxListing {
			return nil, fmt.Errorf("%s: %w: the list of its files is too long: %d files, %d bytes",
				r, source.ErrProtocol, len(all), size)
		}
		if next, err = r.next(got); err != nil {
			return nil, err
		}
	}
	slices.SortStableFunc(all, func(a, b entry) int { return strings.Compare(a.Path, b.Path) })
	return all, r.checkList(all)
}

// next is the URL of the page that follows; "" when there is none. It has to be of the hub itself.
func (r *repository) next(got answer) (string, error) {
	target, ok := nextLink(got.links)
	if !ok {
		return "", nil
	}
	to, err := got.url.Parse(target)
	if err != nil || !guard.SameOrigin(to, r.client.base) || to.User != nil {
		return "", fmt.Errorf("%s: %w: the list of its files goes on elsewhere, at %s", r, source.ErrProtocol, cleanURL(target))
	}
	to.Fragment = ""
	return to.String(), nil
}

// nextLink finds the target of rel="next" in Link headers.
func nextLink(headers []string) (target string, ok bool) {
	for _, header := range headers {
		for header != "" {
			_, after, found := strings.Cut(header, "<")
			target, after, closed := strings.Cut(after, ">")
			if !found || !closed {
				break
			}
			params, _, _ := strings.Cut(after, "<")
			for param := range strings.SplitSeq(params, ";") {
				name, value, _ := strings.Cut(strings.Trim(param, " ,"), "=")
				if strings.EqualFold(name, "rel") && slices.Contains(strings.Fields(strings.Trim(value, `"`)), "next") {
					return target, true
				}
			}
			header = after
		}
	}
	return "", false
}

// cleanURL is a URL from outside for an error's text.
func cleanURL(s string) string {
	u, err := url.Parse(s)
	if err != nil {
		return "an unreadable URL"
	}
	return transfer.RedactURL(u)
}

// checkList refuses a list that says too little, or contradicts itself: without the ids nothing could be verified.
func (r *repository) checkList(all []entry) error {
	for i, e := range all {
		var fault string
		switch {
		case e.LFS == nil && !commitPattern.MatchString(e.OID):
			fault = "has no object id"
		case e.LFS != nil && !sha256Pattern.MatchString(e.LFS.OID):
			fault = "has no sha256"
		case e.Size < 0, e.LFS != nil && e.LFS.Size != e.Size:
			fault = "has no size"
		case i > 0 && all[i-1].Path == e.Path:
			fault = "is listed twice"
		}
		if fault != "" {
			return fmt.Errorf("%s: %w: %q %s in the list of its files", r, source.ErrProtocol, transfer.Clean(e.Path), fault)
		}
	}
	return nil
}
