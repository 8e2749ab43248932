package hub

import (
	"context"
	"encoding/json"
	"fmt"
	"mime"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/mstore/mstore/fetch/source"
	"github.com/mstore/mstore/fetch/transfer"
)

// disabled is what the hub says of a repository that it has closed.
const disabled = "Access to this resource is disabled."

// fail makes an error of an answer that is no success, and closes it. what names what was asked for, besides the
// repository. The hub says 401 to nobody in particular for what it does not have, so its own words decide.
func (r *repository) fail(ctx context.Context, resp *http.Response, what string) error {
	status := transfer.NewStatusError(resp, explain)
	code, said := resp.Header.Get("X-Error-Code"), resp.Header.Get("X-Error-Message")
	if said != "" {
		status.Detail = transfer.Clean(said)
	}
	if status.RetryAfter == 0 && status.Status == http.StatusTooManyRequests {
		status.RetryAfter = untilReset(resp.Header.Values("RateLimit"))
	}
	if status.Redirected { // the word of another server
		return fmt.Errorf("%s: %w", what, status)
	}
	token, _ := r.client.token(ctx) // it was read a moment ago, for the request
	switch denied := status.Status == http.StatusUnauthorized || status.Status == http.StatusForbidden; {
	case code == "GatedRepo":
		return fmt.Errorf("%w: %s is gated: accept its terms at %s, %s: %w",
			source.ErrAuth, r.id, r.page(), whoseToken(token), status)
	case code == "DisabledRepo", said == disabled:
		return fmt.Errorf("%s: %w: the hub has disabled it: %w", r.id, source.ErrNotFound, status)
	case code == "RevisionNotFound":
		return fmt.Errorf("%s: %w: it has no revision %q: %w", r.id, source.ErrNotFound, r.revision, status)
	case code == "EntryNotFound":
		return fmt.Errorf("%s: %w: %w", what, source.ErrNotFound, status)
	case code == "RepoNotFound", status.Status == http.StatusUnauthorized && token == "":
		return fmt.Errorf("%s: %w on %s, or private: %s: %w",
			r.id, source.ErrNotFound, r.client.base.Host, whatHelps(token), status)
	case denied && token != "":
		return fmt.Errorf("%w by %s: the token that was sent does not let it in: %w", source.ErrAuth, r.client.base.Host, status)
	case denied:
		return fmt.Errorf("%w by %s: no token was sent: %w", source.ErrAuth, r.client.base.Host, status)
	case isHTML(resp) && status.Status < http.StatusInternalServerError && status.Status != http.StatusTooManyRequests:
		return fmt.Errorf("%s: %w: it answers with a web page, as no hub does: %w", r.client.base.Host, source.ErrProtocol, status)
	case status.Status == http.StatusNotFound, status.Status == http.StatusGone:
		return fmt.Errorf("%s: %w: %w", what, source.ErrNotFound, status)
	}
	return fmt.Errorf("%s: %w", what, status)
}

func whoseToken(token string) string {
	if token == "" {
		return "and put a token of that account into HF_TOKEN"
	}
	return "with the account of the token that was sent"
}

func whatHelps(token string) string {
	if token == "" {
		return "no token was sent; put one into HF_TOKEN if it is private"
	}
	return "the token that was sent shows no such model"
}

// explain finds what the hub says in the body of an error.
func explain(body []byte) string {
	var answer struct {
		Error string `json:"error"`
	}
	if err := json.Unmarshal(body, &answer); err != nil {
		return ""
	}
	return answer.Error
}

func isHTML(resp *http.Response) bool {
	kind, _, _ := mime.ParseMediaType(resp.Header.Get("Content-Type"))
	return kind == "text/html"
}

// untilReset is how long the limits that are used up stay so, by headers such as RateLimit: "api";r=0;t=120. 0 when
// they do not tell.
func untilReset(headers []string) time.Duration {
	longest := 0
	for item := range strings.SplitSeq(strings.Join(headers, ","), ",") {
		left, seconds := 0, 0
		for field := range strings.SplitSeq(item, ";") {
			name, value, _ := strings.Cut(strings.TrimSpace(field), "=")
			n, err := strconv.Atoi(value)
			switch {
			case err != nil || n < 0:
			case name == "r":
				left = n
			case name == "t":
				seconds = n
			}
		}
		if left == 0 {
			longest = max(longest, seconds)
		}
	}
	const most = 24 * 60 * 60
	return time.Duration(min(longest, most)) * time.Second
}
