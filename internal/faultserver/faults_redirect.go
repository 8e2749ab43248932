package faultserver

import (
	"fmt"
	"net/http"
	"strconv"
)

// blobURL is the URL of the blob that was asked for, by the host that was asked, with a query of its own. The query that
// signs it stays.
func (x *exchange) blobURL(query string) string {
	if sig := x.r.URL.Query().Get("signature"); sig != "" {
		query += "&signature=" + sig
	}
	return x.c.host.url(x.r.URL.EscapedPath()) + "?" + query
}

// moved makes the answer a redirect.
func moved(r *reply, to string) {
	r.become(text(http.StatusFound, "text/plain", "elsewhere", field{"Location", to}))
}

// tokenFaults let tokens and signed links expire (17, 18).
func tokenFaults() []Fault {
	return []Fault{
		{Case: 17, Name: "17 401 midway, the token has expired", Where: OnBlob, Passing: true, token: true, apply: func(x *exchange, r *reply) {
			x.s.revokeTokens()
			r.become(x.s.challenge(x))
		}},
		{Case: 17, Name: "17 401 without a challenge", Where: OnBlob, apply: answered(401)},
		{Case: 18, Name: "18 403 from the second host", Where: OnRedirect, Passing: true, apply: func(x *exchange, r *reply) {
			x.s.revokeLinks()
			answered(403)(x, r)
		}},
		{Case: 18, Name: "18 401 from the second host", Where: OnRedirect, Passing: true, apply: func(x *exchange, r *reply) {
			x.s.revokeLinks()
			answered(401)(x, r)
		}},
	}
}

// redirectFaults lead nowhere, or where nobody should go (19, 20).
func redirectFaults() []Fault {
	var all []Fault
	for _, to := range targets() {
		all = append(all, Fault{Case: 19, Name: "19 redirect to " + to.name, Where: OnBlob, apply: func(_ *exchange, r *reply) { moved(r, to.value) }})
	}
	return append(all,
		Fault{Case: 19, Name: "19 redirect to itself", Where: OnBlob, apply: func(x *exchange, r *reply) { moved(r, x.blobURL("")) }},
		Fault{Case: 19, Name: "19 redirect round in a circle", Where: OnBlob, apply: func(x *exchange, r *reply) {
			moved(r, x.blobURL("step="+strconv.Itoa((x.hop()+1)%3)))
		}},
		Fault{Case: 19, Name: "19 redirect of eleven hops", Where: OnBlob, apply: func(x *exchange, r *reply) {
			if hop := x.hop(); hop < 11 {
				moved(r, x.blobURL("step="+strconv.Itoa(hop+1)))
			}
		}},
		Fault{Case: 19, Name: "19 redirect from https to http", Where: OnBlob, secure: true, plain: true, on: isFirst, apply: func(x *exchange, r *reply) {
			moved(r, x.s.second.url(x.r.URL.EscapedPath()))
		}},
		Fault{Case: 19, Name: "19 redirect without Location", Where: OnBlob, apply: answered(http.StatusFound)},
		Fault{
			Case: 20, Name: "20 redirect to a host that wants other credentials", Where: OnRedirect,
			apply: answered(http.StatusUnauthorized, field{"WWW-Authenticate", `Basic realm="elsewhere"`}),
		},
		Fault{Case: 20, Name: "20 redirect to a host that wants a token", Where: OnRedirect, apply: func(x *exchange, r *reply) {
			challenge := fmt.Sprintf(`Bearer realm="%s",service="elsewhere"`, x.c.host.url(tokenPath))
			answered(http.StatusUnauthorized, field{"WWW-Authenticate", challenge}, field{"Set-Cookie", "track=1; Path=/"})(x, r)
		}},
	)
}

func isFirst(x *exchange) bool { return !x.c.host.second }

// targets are where a redirect must not lead, by a name.
func targets() []field {
	return []field{
		{"file:", "file:///etc/hostname"},
		{"ftp:", "ftp://127.0.0.1/blob"},
		{"data:", "data:application/octet-stream;base64,AAAA"},
		{"a link-local address", "http://169.254.169.254/latest/meta-data"},
		{"a private address", "http://10.255.255.1/blob"},
		{"an unspecified address", "http://0.0.0.0:9/blob"},
		{"a URL with a password", "http://user:secret@127.0.0.1:9/blob"},
		{"garbage", "http://[::1/\x1b[31m%zz"},
	}
}

// hop is how often the request was redirected already.
func (x *exchange) hop() int {
	n, _ := strconv.Atoi(x.r.URL.Query().Get("step")) // none is 0
	return n
}
