package registry

import (
	"path"
	"strings"
)

// rule is what is known of a registry beyond the specification.
type rule struct {
	hosts []string // patterns of path.Match, without a port
	whole bool     // a blob goes in one request, and what broke off cannot go on
	limit string   // of its blobs, in words; empty: none is known
}

// rules are facts of registries that others have run into. Who is not in it is taken to do what the specification
// says, and found out about otherwise.
var rules = []rule{
	// A PATCH with a Content-Length above 4 MiB is answered 416.
	{[]string{"ghcr.io"}, true, "ghcr.io takes blobs of at most 10 GB, each within ten minutes"},
	// Its documentation: chunked uploads are not supported, push each blob in one request.
	{[]string{"*.pkg.dev", "gcr.io", "*.gcr.io"}, true, ""},
	// A PATCH is answered 201, and the bytes of all but the first are lost.
	{
		[]string{"*.dkr.ecr.*.amazonaws.com", "*.dkr.ecr.*.amazonaws.com.cn", "public.ecr.aws"},
		true, "Amazon ECR takes blobs of at most 52,000 MiB",
	},
	{[]string{"quay.io"}, false, "quay.io was seen to take at most 20 GB in one request"},
}

// ruleFor finds the rule of the registry at host, which may have a port. Hosts without one have the zero rule.
func ruleFor(host string) rule {
	name, _, _ := strings.Cut(strings.ToLower(host), ":")
	for _, r := range rules {
		for _, pattern := range r.hosts {
			if ok, _ := path.Match(pattern, name); ok { // the patterns are well-formed
				return r
			}
		}
	}
	return rule{}
}
