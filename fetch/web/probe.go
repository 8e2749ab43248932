package web

import (
	"context"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"path"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/mstore/mstore/fetch/guard"
	"github.com/mstore/mstore/fetch/source"
	"github.com/mstore/mstore/fetch/transfer"
)

// request makes a request for the whole file.
func (f *file) request(ctx context.Context) (*http.Request, error) {
	return f.ask(ctx, http.MethodGet)
}

func (f *file) ask(ctx context.Context, method string) (*http.Request, error) {
	req, err := http.NewRequestWithContext(ctx, method, f.reference(), http.NoBody)
	if err != nil {
		return nil, err
	}
	if f.user != nil {
		password, _ := f.user.Password()
		req.SetBasicAuth(f.user.Username(), password)
	}
	req.Header.Set("Accept-Encoding", "identity") // sizes, digests and ranges are of the bytes themselves
	return req, nil
}

// once sends a request. The texts of its errors are fit to print.
func (f *file) once(req *http.Request) (*http.Response, error) {
	req = req.Clone(guard.WithHome(req.Context(), f.url))
	req.Header.Set("User-Agent", f.c.opts.UserAgent)
	resp, err := f.c.http.Do(req) //nolint:gosec // the guard judges where it leads
	switch {
	case err == nil:
		return resp, nil
	case errors.Is(err, http.ErrSchemeMismatch):
		return nil, fmt.Errorf("%s does not speak TLS: %w", f.url.Host, transfer.RedactError(err))
	}
	return nil, transfer.RedactError(err)
}

// probe finds out what there is to know of the file without fetching it. have is the validator of the state that the
// store has; unchanged tells that the server has the same.
func (f *file) probe(ctx context.Context, have string, opts transfer.Options) (unchanged bool, err error) {
	err = transfer.Ask(ctx, opts, func(ctx context.Context) error {
		resp, err := f.head(ctx, have)
		if err != nil {
			return err
		}
		_ = resp.Body.Close()
		if resp.StatusCode == http.StatusNotModified && have != "" {
			f.validator, unchanged = have, true
			f.path, err = f.called(resp)
			return err
		}
		return f.learn(resp)
	})
	return unchanged || err == nil && have != "" && f.validator == have, err
}

// head asks for the headers, by a GET of one byte where the server does not take a HEAD (or takes it and says no size).
func (f *file) head(ctx context.Context, have string) (*http.Response, error) {
	var last *http.Response
	for _, method := range []string{http.MethodHead, http.MethodGet} {
		req, err := f.ask(ctx, method)
		if err != nil {
			return nil, err
		}
		if method == http.MethodGet {
			req.Header.Set("Range", transfer.Range(0, 1))
		}
		if _, err := f.base(); err == nil && strings.HasPrefix(have, `"`) { // a date is compared here: an older file is another
			req.Header.Set("If-None-Match", have)
		}
		last, err = f.once(req)
		if err != nil {
			return nil, err
		}
		if method == http.MethodHead && isRefusal(last) {
			_ = last.Body.Close()
			continue
		}
		break
	}
	return last, nil
}

// isRefusal tells that a GET may be answered better than a HEAD was: links that are signed are so for one method, and
// some programs answer a HEAD with the length of nothing.
func isRefusal(resp *http.Response) bool {
	switch resp.StatusCode {
	case http.StatusForbidden, http.StatusMethodNotAllowed, http.StatusNotImplemented:
		return true
	case http.StatusOK:
		return resp.ContentLength <= 0
	}
	return false
}

// learn takes what the headers of an answer say.
func (f *file) learn(resp *http.Response) (err error) {
	empty := resp.StatusCode == http.StatusRequestedRangeNotSatisfiable && totalOf(resp) == 0
	if resp.StatusCode != http.StatusOK && resp.StatusCode != http.StatusPartialContent && !empty {
		return f.fail(resp)
	}
	if f.path, err = f.called(resp); err != nil {
		return err
	}
	if err := f.checkPage(resp); err != nil {
		return err
	}
	f.size = sizeOf(resp)
	f.validator = validatorOf(resp.Header)
	if f.digest == "" {
		f.digest = headerDigest(resp)
	}
	return nil
}

// sizeOf is the size of the whole; -1 when the server does not say.
func sizeOf(resp *http.Response) int64 {
	switch {
	case isEncoded(resp):
		return -1
	case resp.StatusCode == http.StatusOK:
		return resp.ContentLength
	}
	return totalOf(resp)
}

// totalOf is what stands behind the slash of a Content-Range; -1 for "*" and for nothing.
func totalOf(resp *http.Response) int64 {
	_, total, _ := strings.Cut(resp.Header.Get("Content-Range"), "/")
	n, err := strconv.ParseUint(total, 10, 63)
	if err != nil {
		return -1
	}
	return int64(n)
}

func isEncoded(resp *http.Response) bool {
	e := resp.Header.Get("Content-Encoding")
	return e != "" && !strings.EqualFold(e, "identity")
}

// maxTag is the longest entity tag that is kept.
const maxTag = 512

// validatorOf is the entity tag, if it is a strong one, else the date of the last change, if that is so long before the
// answer that there was no other change in the same second. What is weak would not tell one state from another.
func validatorOf(h http.Header) string {
	if tag := h.Get("ETag"); len(tag) >= 2 && len(tag) <= maxTag && tag[0] == '"' && tag[len(tag)-1] == '"' {
		return tag
	}
	changed, err := http.ParseTime(h.Get("Last-Modified"))
	now, err2 := http.ParseTime(h.Get("Date"))
	if err != nil || err2 != nil || now.Sub(changed) < time.Second {
		return ""
	}
	return h.Get("Last-Modified")
}

// called is the name of the file in the model: the path's, else the server's word for it.
func (f *file) called(resp *http.Response) (string, error) {
	name, err := f.base()
	if err == nil {
		return name, nil
	}
	_, params, _ := mime.ParseMediaType(resp.Header.Get("Content-Disposition"))
	if said := params["filename"]; said != "" { // filename* is decoded, and goes before filename
		if name, err := safeName(said); err == nil {
			return name, nil
		}
	}
	return "", fmt.Errorf("%w: %s names no file, and its server does not either: %w", source.ErrReference, f, err)
}

// checkPage refuses a web page that is not asked for.
func (f *file) checkPage(resp *http.Response) error {
	kind, _, _ := mime.ParseMediaType(resp.Header.Get("Content-Type"))
	isPage := kind == "text/html" || kind == "application/xhtml+xml"
	if !isPage || slices.Contains([]string{".html", ".htm", ".xhtml"}, strings.ToLower(path.Ext(f.path))) {
		return nil
	}
	hint := "is it behind a login?"
	if strings.Contains(f.url.Path, "/blob/") {
		switch f.url.Hostname() {
		case "huggingface.co", "hf.co":
			hint = "the file itself is at the same URL with /resolve/ in place of /blob/"
		case "github.com":
			hint = "the file itself is at the same URL with /raw/ in place of /blob/"
		default:
			hint = "the page is about the file, which is elsewhere"
		}
	}
	return fmt.Errorf("%s is a web page, not a file (%w); %s", f, source.ErrProtocol, hint)
}

const (
	// maxPointer is what a pointer of Git LFS has less bytes than, by its specification.
	maxPointer   = 1024
	pointerStart = "version https://git-lfs.github.com/spec/"
)

// checkPointer looks into a file that is as small as a pointer of Git LFS, which web servers of repositories give in
// place of the file that it points to. Who says what the file is wants what is there.
func (f *file) checkPointer(ctx context.Context, opts transfer.Options) error {
	if f.pin != "" || f.size < int64(len(pointerStart)) || f.size >= maxPointer {
		return nil
	}
	body, err := f.small(ctx, f.reference(), maxPointer, opts)
	if err != nil || !strings.HasPrefix(string(body), pointerStart) {
		return err
	}
	return fmt.Errorf("%s is a pointer of Git LFS to the file, not the file itself (%w); repositories have the file at another URL, with /resolve/ or /media/ in it",
		f, source.ErrProtocol)
}

// small reads what is at a URL of the same server, if it is there and not longer than most bytes; else nil. An error is
// that of ctx.
func (f *file) small(ctx context.Context, at string, most int64, opts transfer.Options) (body []byte, err error) {
	err = transfer.InTime(ctx, opts, func(ctx context.Context) error {
		req, err := f.request(ctx)
		if err != nil {
			return err
		}
		if req.URL, err = req.URL.Parse(at); err != nil {
			return err
		}
		resp, err := f.once(req)
		if err != nil {
			return err
		}
		defer func() { _ = resp.Body.Close() }()
		kind, _, _ := mime.ParseMediaType(resp.Header.Get("Content-Type"))
		if resp.StatusCode != http.StatusOK || kind == "text/html" {
			return nil
		}
		if body, err = io.ReadAll(io.LimitReader(resp.Body, most+1)); err != nil || int64(len(body)) > most {
			body = nil
		}
		return err
	})
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	if err != nil {
		return nil, nil //nolint:nilerr // what cannot be had is not there
	}
	return body, nil
}
