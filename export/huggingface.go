package export

import (
	"context"
	"crypto/sha1" //nolint:gosec // it is how git names what it keeps; nothing is trusted by it
	"encoding/hex"
	"fmt"
	"path"
	"regexp"
	"strconv"
	"strings"

	"github.com/mstore/mstore/blobstore"
	"github.com/mstore/mstore/internal/clone"
	"github.com/mstore/mstore/internal/key"
	"github.com/mstore/mstore/manifest"
)

// Repo is what a model is called in a Hugging Face cache.
type Repo struct {
	// ID is "org/name", or "name" alone.
	ID string
	// Revision is the branch or tag that means the model: "" is "main". A commit needs no name.
	Revision string
	// Commit is 40 hexadecimal digits; "" is the first 40 of the manifest's digest.
	Commit string
}

const (
	mainRevision = "main"
	maxRepo      = 96       // characters of an ID, by the Hub's own rule
	lfsFrom      = 10 << 20 // bytes from which on the Hub keeps every file in LFS

	cacheTag = "CACHEDIR.TAG"
	// cacheTagText is a tag of bford.info/cachedir, by which backups leave the folder out.
	cacheTagText = "Signature: 8a477f597d28d172789f06886806bc55\n# This folder can be filled again: backups may leave it out.\n"
)

// lfsEndings are what the Hub's own .gitattributes puts into LFS whatever the size.
const lfsEndings = " .7z .arrow .bin .bz2 .ckpt .ftz .gguf .gz .h5 .joblib .mlmodel .model .msgpack .npy .npz .onnx .ot" +
	" .parquet .pb .pickle .pkl .pt .pth .rar .safetensors .tar .tflite .tgz .wasm .xz .zip .zst "

var (
	repoPart   = regexp.MustCompile(`^[A-Za-z0-9_](?:[A-Za-z0-9._-]*[A-Za-z0-9_])?$`)
	commitForm = regexp.MustCompile(`^[0-9a-f]{40}$`)
)

// HuggingFace adds m to the Hugging Face cache in dir, made when it is missing, where the libraries of Hugging Face
// find it without a network: models--org--name/blobs, a snapshot of links to them, and refs that name the commit. Blobs
// are named as the Hub names them: by sha256 where the Hub would have the file in LFS, which goes by its size and its
// ending, else by git's sha1.
//
// The revision is moved when it is there. "main" is made to mean the model also when the revision is another and there
// is no main. Other models in the cache are left alone. It fails as Files does, and with ErrLayout for a Repo that is
// none and a model with archives.
func HuggingFace(ctx context.Context, store *blobstore.Store, m *manifest.Manifest, dir string, repo Repo, opts Options) error {
	k, err := key.Parse(m.Descriptor.Digest)
	if err != nil {
		return err
	}
	if repo.Commit == "" {
		repo.Commit = k.Hex()[:40]
	}
	if repo.Revision == "" {
		repo.Revision = mainRevision
	}
	if err := repo.check(); err != nil {
		return err
	}
	if archives := archivesOf(m); len(archives) > 0 {
		return fmt.Errorf("%w: the model has archives, and a Hugging Face cache has plain files", ErrLayout)
	}
	h := &hub{store: store, repo: repo, base: "models--" + strings.ReplaceAll(repo.ID, "/", "--")}
	p, err := h.plan(ctx, m)
	if err != nil {
		return err
	}
	return lay(ctx, store, LayoutHuggingFace, dir, p, opts)
}

func (r Repo) check() error {
	parts := strings.Split(r.ID, "/")
	bad := len(parts) > 2 || len(r.ID) > maxRepo || strings.Contains(r.ID, "--") || strings.Contains(r.ID, "..") ||
		strings.HasSuffix(r.ID, ".git")
	for _, part := range parts {
		bad = bad || !repoPart.MatchString(part)
	}
	if bad {
		return fmt.Errorf("%w: %q is no name of a model on a Hugging Face hub, which is org/name", ErrLayout, r.ID)
	}
	if !commitForm.MatchString(r.Commit) {
		return fmt.Errorf("%w: %q is no commit", ErrLayout, r.Commit)
	}
	if clean, err := manifest.SafePath(r.Revision); err != nil || clean != r.Revision {
		return fmt.Errorf("%w: %q is no revision", ErrLayout, r.Revision)
	}
	return nil
}

// hub is one export into a Hugging Face cache.
type hub struct {
	store *blobstore.Store
	repo  Repo
	base  string // the folder of the model
}

func (h *hub) plan(ctx context.Context, m *manifest.Manifest) (*plan, error) {
	p := &plan{mark: text{cacheTag, []byte(cacheTagText)}}
	seen := make(map[string]bool)
	for _, f := range filesOf(m) {
		name, err := h.etag(ctx, f)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", f.Path, err)
		}
		if !seen[name] {
			seen[name] = true
			p.blobs = append(p.blobs, manifest.File{Path: path.Join(h.base, "blobs", name), Descriptor: f.Descriptor})
		}
		up := strings.Repeat("../", 2+strings.Count(f.Path, "/"))
		p.links = append(p.links, pointer{path.Join(h.base, "snapshots", h.repo.Commit, f.Path), up + "blobs/" + name})
	}
	if !commitForm.MatchString(h.repo.Revision) {
		p.names = append(p.names, h.ref(h.repo.Revision))
	}
	if h.repo.Revision != mainRevision {
		p.finish = h.firstMain
	}
	return p, nil
}

// ref is the name of a revision, which says its commit and nothing else.
func (h *hub) ref(revision string) text {
	return text{path: path.Join(h.base, "refs", revision), data: []byte(h.repo.Commit)}
}

// firstMain makes "main" unless there is one.
func (h *hub) firstMain(ctx context.Context, e *exporter) error {
	main := h.ref(mainRevision)
	if have, err := e.readName(main.path); err != nil || have != nil {
		return err
	}
	return e.move(ctx, main)
}

// etag is what the Hub calls the content of a file.
func (h *hub) etag(ctx context.Context, f manifest.File) (string, error) {
	k, err := key.Parse(f.Descriptor.Digest)
	if err != nil {
		return "", err
	}
	ending := strings.ToLower(path.Ext(f.Path))
	if f.Descriptor.Size >= lfsFrom || ending != "" && strings.Contains(lfsEndings, " "+ending+" ") {
		return k.Hex(), nil
	}
	b, err := h.store.Open(f.Descriptor.Digest)
	if err != nil {
		return "", err
	}
	defer func() { _ = b.Close() }()
	sum := sha1.New() //nolint:gosec // as above
	sum.Write([]byte("blob " + strconv.FormatInt(b.Size(), 10) + "\x00"))
	if _, err := clone.Copy(ctx, sum, b, nil); err != nil {
		return "", err
	}
	return hex.EncodeToString(sum.Sum(nil)), nil
}
