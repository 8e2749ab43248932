package hub

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/mstore/mstore/fetch/guard"
	"github.com/mstore/mstore/fetch/source"
	"github.com/mstore/mstore/fetch/transfer"
	"github.com/mstore/mstore/manifest"
)

const (
	// maxAnswer is the most bytes that an answer of the API may have: a page of a list has about 300 KB.
	maxAnswer = 16 << 20
	// scheme begins the references of models.
	scheme = "hf://"
)

// repository is one repository at one revision.
type repository struct {
	client       *Client
	id, revision string
	commit       string // that the revision is now
}

// Resolve is [source.Source]: it asks the hub which commit ref, ORG/NAME[:SELECTOR][@REVISION], is now, and lists that
// commit's files. When the commit is opts.HaveRevision there is no second request; a commit that is asked for and is had
// needs none.
//
// The model is all files that opts takes, but of weights that are there several times only one face:
//   - With a quantisation as SELECTOR it is the GGUF file of that name, or all parts of it, with the files that are no
//     weights and one projector (mmproj). With a file it is that file, or all parts of it, and what is no weights.
//   - With opts.Include and no SELECTOR it is exactly what that takes.
//   - Where the folder of a file of safetensors has the same weights for PyTorch, TensorFlow, Flax, Rust, ONNX or OpenVINO
//     (pytorch_model.bin or tf_model.h5 beside model.safetensors, x.ckpt beside x.safetensors), those are left out. Beside
//     a model.safetensors at the top, so are the folders onnx, openvino, coreml and tflite, GGUF files, and the weights
//     called consolidated.
//   - Of several GGUF files without a SELECTOR it is Q4_K_M, else Q4_0, else the first by name, as llama.cpp chooses, with
//     one projector.
//
// What is left out by the last two rules is logged.
func (c *Client) Resolve(ctx context.Context, ref string, opts source.Options) (*source.Model, error) {
	asked, err := ParseReference(ref)
	if err != nil {
		return nil, err
	}
	if err := c.check(opts); err != nil {
		return nil, err
	}
	m := &source.Model{
		Name: asked.Name(), Reference: scheme + asked.String(), Revision: opts.HaveRevision,
		PlainHTTP: c.base.Scheme == "http", Unchanged: true,
	}
	if asked.isCommit() && asked.Revision == opts.HaveRevision {
		return m, nil
	}
	r := &repository{client: c, id: asked.ID, revision: asked.Revision}
	if err := r.pin(ctx, opts.Transfer); err != nil {
		return nil, err
	}
	if r.commit == opts.HaveRevision {
		return m, nil
	}
	m.Revision, m.Unchanged = r.commit, false
	all, err := r.list(ctx, opts.Transfer)
	if err != nil {
		return nil, err
	}
	chosen, err := r.choose(all, asked, opts)
	if err != nil {
		return nil, err
	}
	m.Files, err = r.files(chosen)
	return m, err
}

// check judges what can be judged before anybody is asked.
func (c *Client) check(opts source.Options) error {
	if c.bad != nil {
		return c.bad
	}
	if c.base.Scheme == "http" && !opts.PlainHTTP && !guard.IsLoopback(c.base.Host) {
		return fmt.Errorf("%w: the hub at %s is to be spoken to without TLS, which has to be allowed", source.ErrReference, c.base.Host)
	}
	return opts.CheckPatterns()
}

// String names the repository in errors.
func (r *repository) String() string { return nameHost + "/" + r.id }

// page is where people read about the repository.
func (r *repository) page() string { return r.client.base.String() + "/" + r.id }

// path is that of the API for the repository: "revision" or "tree" of a revision, which may have slashes.
func (r *repository) path(verb, revision string) string {
	return "/api/models/" + r.id + "/" + verb + "/" + url.PathEscape(revision)
}

// pin finds the commit of the revision.
func (r *repository) pin(ctx context.Context, opts transfer.Options) error {
	var info struct {
		SHA string `json:"sha"`
	}
	if _, err := r.ask(ctx, r.client.base.String()+r.path("revision", r.revision), opts, &info); err != nil {
		return err
	}
	if !commitPattern.MatchString(info.SHA) {
		return fmt.Errorf("%s: %w: it names no commit for revision %q", r, source.ErrProtocol, r.revision)
	}
	if commitPattern.MatchString(r.revision) && info.SHA != r.revision {
		return fmt.Errorf("%s: %w: commit %s was asked for, and the hub gives %s", r, source.ErrDigest, r.revision, info.SHA)
	}
	r.commit = info.SHA
	return nil
}

// answer is what came of a request to the API, beside its contents.
type answer struct {
	url   *url.URL // that has answered
	links []string // the Link headers
	size  int      // of the body
}

// ask gets JSON from the API.
func (r *repository) ask(ctx context.Context, where string, opts transfer.Options, into any) (got answer, err error) {
	var raw []byte
	err = transfer.Ask(ctx, opts, func(ctx context.Context) error {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, where, http.NoBody)
		if err != nil {
			return fmt.Errorf("%w: %w", source.ErrReference, err)
		}
		req.Header.Set("Accept", "application/json")
		resp, err := r.client.send(req)
		if err != nil {
			return err
		}
		defer func() { _ = resp.Body.Close() }()
		switch {
		case resp.StatusCode != http.StatusOK:
			return r.fail(ctx, resp, r.String())
		case isHTML(resp):
			return fmt.Errorf("%s: %w: it answers with a web page, as no hub does", r.client.base.Host, source.ErrProtocol)
		}
		got = answer{url: resp.Request.URL, links: resp.Header.Values("Link")}
		if raw, err = io.ReadAll(io.LimitReader(resp.Body, maxAnswer+1)); err != nil {
			return fmt.Errorf("%s: %w: %w", r, transfer.ErrInterrupted, err)
		}
		return nil
	})
	if err != nil {
		return answer{}, err
	}
	got.size = len(raw)
	if len(raw) > maxAnswer {
		return answer{}, fmt.Errorf("%s: %w: an answer of more than %d bytes", r, source.ErrProtocol, maxAnswer)
	}
	if err := json.Unmarshal(raw, into); err != nil {
		return answer{}, fmt.Errorf("%s: %w: its answer cannot be read: %s", r, source.ErrProtocol, transfer.Clean(err.Error()))
	}
	return got, nil
}

// files makes files of a model of what was chosen. Names that are unsafe, or cannot be in one model, are found here,
// before any byte is moved.
func (r *repository) files(chosen []entry) ([]source.File, error) {
	files := make([]source.File, 0, len(chosen))
	draft := manifest.Draft{Files: make([]manifest.File, 0, len(chosen))}
	for _, e := range chosen {
		safe, err := manifest.SafePath(e.Path)
		if err == nil && safe != e.Path {
			err = fmt.Errorf("%w: %q is written in another way than %q", manifest.ErrUnsafePath, transfer.Clean(e.Path), safe)
		}
		if err != nil {
			return nil, fmt.Errorf("%s: %w", r, err)
		}
		files = append(files, r.file(e))
		desc := ocispec.Descriptor{Digest: digest.FromString(e.Path)}
		draft.Files = append(draft.Files, manifest.File{Path: e.Path, Descriptor: desc})
	}
	if _, _, err := manifest.Build(draft); err != nil {
		return nil, fmt.Errorf("%s: %w", r, err)
	}
	return files, nil
}

// escape is a path as it stands in a URL.
func escape(path string) string {
	parts := strings.Split(path, "/")
	for i, p := range parts {
		parts[i] = url.PathEscape(p)
	}
	return strings.Join(parts, "/")
}
