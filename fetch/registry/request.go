package registry

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"net/url"
	"strings"

	"oras.land/oras-go/v2/registry/remote/auth"
	"oras.land/oras-go/v2/registry/remote/errcode"

	"github.com/mstore/mstore/fetch/guard"
	"github.com/mstore/mstore/fetch/source"
	"github.com/mstore/mstore/fetch/transfer"
)

// repository is one repository of one registry, as it is spoken to.
type repository struct {
	c    *Client
	base *url.URL
	host string // as in references
	name string // as its registry knows it

	mirrors []*repository // that may have the same blobs
}

// repository prepares to speak to the repository of ref. It connects only where a loopback host has to be asked
// whether it speaks TLS. A mirror that cannot be asked that is done without.
func (c *Client) repository(ctx context.Context, ref Reference, plain bool) (*repository, error) {
	base, err := c.base(ctx, ref.Host, plain)
	if err != nil {
		return nil, err
	}
	r := &repository{c: c, base: base, host: ref.Host, name: ref.apiRepository()}
	for _, host := range c.opts.Mirrors(ref.Host) {
		base, err := c.base(ctx, host, false)
		if err != nil {
			c.opts.Log.Warn("a mirror is not there", "mirror", host, "of", ref.Host, "error", err)
			continue
		}
		r.mirrors = append(r.mirrors, &repository{c: c, base: base, host: host, name: r.name})
	}
	return r, nil
}

func (r *repository) String() string { return r.host + "/" + r.name }

// url is that of something in the repository: "manifests/<tag>", "blobs/<digest>".
func (r *repository) url(rest string) string {
	return r.base.JoinPath("v2", r.name, rest).String()
}

// request makes a request without a body.
func (r *repository) request(ctx context.Context, method, rest string) (*http.Request, error) {
	ctx = auth.AppendScopesForHost(ctx, r.base.Host, auth.ScopeRepository(r.name, auth.ActionPull))
	return http.NewRequestWithContext(ctx, method, r.url(rest), http.NoBody)
}

// send is Client.send for this repository's registry.
func (r *repository) send(req *http.Request) (*http.Response, error) {
	return r.c.send(r.c.auth, req, r.base)
}

// send sends a request with what it takes to be let in. Its errors are of connections, or source.ErrAuth or guard.ErrRedirect; their
// texts are fit to print.
func (c *Client) send(as *auth.Client, req *http.Request, home *url.URL) (*http.Response, error) {
	var took stopwatch
	resp, err := as.Do(req.WithContext(took.trace(withSent(guard.WithHome(req.Context(), home)))))
	if err == nil {
		c.answered(home.Host, resp, took.read())
		return resp, nil
	}
	var answer *errcode.ErrorResponse
	switch {
	case errors.As(err, &answer): // of the token server
		status := &transfer.StatusError{
			Method: answer.Method, URL: transfer.RedactURL(answer.URL), Status: answer.StatusCode,
			Detail: transfer.Clean(answer.Errors.Error()),
		}
		if len(answer.Errors) == 0 {
			status.Detail = ""
		}
		return nil, c.refused(status, home)
	case errors.Is(err, auth.ErrBasicCredentialNotFound):
		return nil, fmt.Errorf("%w: %s wants a name and a password, and %s", source.ErrAuth, home.Host, c.keys.story(home.Host))
	case errors.Is(err, http.ErrSchemeMismatch):
		return nil, fmt.Errorf("%s does not speak TLS: %w", home.Host, transfer.RedactError(err))
	}
	return nil, transfer.RedactError(err)
}

// refused adds source.ErrAuth to the status errors that are it.
func (c *Client) refused(status *transfer.StatusError, home *url.URL) error {
	if status.Redirected || status.Status != http.StatusUnauthorized && status.Status != http.StatusForbidden {
		return status
	}
	return fmt.Errorf("%w by %s (%s): %w", source.ErrAuth, home.Host, c.keys.story(home.Host), status)
}

// fail makes an error of an answer that is no success, and closes it. what names what was asked for.
func (r *repository) fail(resp *http.Response, what string) error {
	status := transfer.NewStatusError(resp, explain)
	if status.Status == http.StatusNotFound || status.Status == http.StatusGone {
		return fmt.Errorf("%s: %w: %w", what, source.ErrNotFound, status)
	}
	return fmt.Errorf("%s: %w", what, r.c.refused(status, r.base))
}

// explain finds what a registry says in the body of an error.
func explain(body []byte) string {
	errs, _ := registryErrors(body)
	texts := make([]string, 0, len(errs))
	for _, e := range errs {
		text := strings.ToLower(strings.ReplaceAll(e.Code, "_", " "))
		if e.Message != "" && !strings.EqualFold(e.Message, text) {
			text += ": " + e.Message
		}
		texts = append(texts, text)
	}
	return strings.Join(texts, "; ")
}

// registryErrors reads the error format of the distribution spec; ok tells whether body has it.
func registryErrors(body []byte) (errs errcode.Errors, ok bool) {
	var answer struct {
		Errors errcode.Errors `json:"errors"`
	}
	err := json.Unmarshal(body, &answer)
	return answer.Errors, err == nil && answer.Errors != nil
}

// maxPeek is how much of an error's body is looked at before it is known what it is.
const maxPeek = 64 << 10

// peek reads the body of an error and leaves it to be read again.
func peek(resp *http.Response) []byte {
	body, _ := io.ReadAll(io.LimitReader(resp.Body, maxPeek)) // what came before an error is still worth reading
	_ = resp.Body.Close()
	resp.Body = io.NopCloser(bytes.NewReader(body))
	return body
}

func isHTML(resp *http.Response) bool {
	kind, _, _ := mime.ParseMediaType(resp.Header.Get("Content-Type"))
	return kind == "text/html"
}

// ping tells whether a registry answers at base, by the one request that all are said to answer.
func (c *Client) ping(ctx context.Context, base *url.URL) (bool, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, base.JoinPath("v2").String()+"/", http.NoBody)
	if err != nil {
		return false, err
	}
	req.Header.Set("User-Agent", c.opts.UserAgent)
	resp, err := c.http.Do(req.WithContext(guard.WithHome(ctx, base)))
	if err != nil {
		return false, transfer.RedactError(err)
	}
	defer func() { _ = resp.Body.Close() }()
	return resp.StatusCode == http.StatusOK && !isHTML(resp) || resp.StatusCode == http.StatusUnauthorized, nil
}
