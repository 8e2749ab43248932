package ollama

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"mime"
	"net/http"
	"strings"

	"github.com/mstore/mstore/fetch/source"
	"github.com/mstore/mstore/fetch/transfer"
	"github.com/mstore/mstore/manifest"
)

// errNotOllama reports a server that answers, but not as Ollama's registry does.
var errNotOllama = fmt.Errorf("not a registry of Ollama models: %w", source.ErrProtocol)

// manifest gets the bytes of the manifest. mediaType is "" when the registry does not say.
func (r *repository) manifest(ctx context.Context, opts transfer.Options) (mediaType string, raw []byte, err error) {
	err = transfer.Ask(ctx, opts, func(ctx context.Context) error {
		mediaType, raw, err = r.get(ctx)
		return err
	})
	return mediaType, raw, err
}

func (r *repository) get(ctx context.Context) (mediaType string, raw []byte, err error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, r.url("manifests/"+r.ref.Tag), http.NoBody)
	if err != nil {
		return "", nil, err
	}
	req.Header.Set("Accept", manifest.MediaTypeDockerManifest)
	resp, err := r.send(req)
	if err != nil {
		return "", nil, err
	}
	defer func() { _ = resp.Body.Close() }()
	kind := kindOf(resp)
	switch {
	case resp.StatusCode != http.StatusOK:
		return "", nil, r.fail(resp, r.ref.Name())
	case kind == "text/html":
		return "", nil, fmt.Errorf("%s: %w: it answers with a web page", r.base.Host, errNotOllama)
	}
	raw, err = io.ReadAll(io.LimitReader(resp.Body, manifest.MaxSize+1))
	switch {
	case err != nil:
		return "", nil, fmt.Errorf("manifest of %s: %w: %w", r.ref.Name(), transfer.ErrInterrupted, err)
	case len(raw) > manifest.MaxSize:
		return "", nil, fmt.Errorf("manifest of %s: %w: more than %d bytes", r.ref.Name(), manifest.ErrMalformed, manifest.MaxSize)
	}
	switch kind {
	case "application/json", "application/octet-stream", "text/plain": // what servers give to anything
		kind = ""
	}
	return kind, raw, nil
}

func kindOf(resp *http.Response) string {
	kind, _, _ := mime.ParseMediaType(resp.Header.Get("Content-Type"))
	return kind
}

// fail makes an error of an answer that is no success, and closes it. what names what was asked for.
func (r *repository) fail(resp *http.Response, what string) error {
	status := transfer.NewStatusError(resp, explain)
	switch {
	case status.Redirected:
	case status.Status == http.StatusNotFound && kindOf(resp) == "text/html":
		return fmt.Errorf("%s: %w: %w", r.base.Host, errNotOllama, status)
	case status.Status == http.StatusNotFound, status.Status == http.StatusGone:
		return fmt.Errorf("%s: %w: the registry has no such model or tag, or does not show it: %w", what, source.ErrNotFound, status)
	case status.Status == http.StatusUnauthorized, status.Status == http.StatusForbidden:
		return fmt.Errorf("%s: %w (%s): %w", what, source.ErrAuth, r.story(resp), status)
	}
	return fmt.Errorf("%s: %w", what, status)
}

// story says whether the key was shown for an answer, for an error's text.
func (r *repository) story(resp *http.Response) string {
	if resp.Request.Header.Get("Authorization") != "" {
		return "the key " + r.c.keyName() + " was shown"
	}
	return "it did not ask for a key"
}

// explain finds what the registry says in the body of an error: in the form of OCI registries, in Ollama's own, or
// as plain text.
func explain(body []byte) string {
	var answer struct {
		Error  string `json:"error"`
		Errors []struct {
			Code    string `json:"code"`
			Message string `json:"message"`
		} `json:"errors"`
	}
	if json.Unmarshal(body, &answer) != nil {
		if bytes.HasPrefix(bytes.TrimSpace(body), []byte("<")) { // a web page
			return ""
		}
		return string(body)
	}
	texts := []string{answer.Error}
	for _, e := range answer.Errors {
		if e.Message == "" {
			e.Message = strings.ToLower(strings.ReplaceAll(e.Code, "_", " "))
		}
		texts = append(texts, e.Message)
	}
	return strings.Trim(strings.Join(texts, "; "), "; ")
}
