package local

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/mstore/mstore/fetch/source"
	"github.com/mstore/mstore/manifest"
)

const (
	hubFolder    = "models--" // then the repository, with "--" for its slash
	mainRevision = "main"
	maxRef       = 64 // bytes of a file in refs: a commit
	maxTrees     = 64 << 20
)

var (
	repoForm   = regexp.MustCompile(`^[A-Za-z0-9_][A-Za-z0-9._-]*(/[A-Za-z0-9_][A-Za-z0-9._-]*)?$`)
	commitForm = regexp.MustCompile(`^[0-9a-f]{40}$`) // the name that git gives a commit, or a file
)

// HFCache is the source of the models in a Hugging Face cache: the folder that HF_HUB_CACHE points to. References are
// ORG/NAME and ORG/NAME@REVISION; the revision is "main", another that the cache has a ref of, or a commit.
//
// A model is what its snapshot has, which may be a part of the repository. Resolve reads the files that are named by
// git's sha1, which the hub does with small ones, and holds them against their names; large ones are named by sha256,
// and have that as their digest. Links are followed to the blobs of the same repository and nowhere else.
//
// Resolve fails with ErrPath when the folder is no cache, or what lies in it is no model; ErrNotFound; source.ErrDigest
// for a file that is not what its name says; source.ErrReference; or as the file system does.
type HFCache struct{ Dir string }

// List is the references of all models in the cache, sorted: what refs name, and of a repository without refs its
// commits. Whether each can be resolved is for Resolve to find out.
func (c HFCache) List(ctx context.Context) ([]string, error) {
	entries, err := os.ReadDir(c.Dir)
	if err != nil {
		return nil, notThere(err)
	}
	var refs []string
	for _, e := range entries {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		id, ok := repoOfFolder(e)
		if !ok {
			continue
		}
		repo := hubRepo{id: id, dir: filepath.Join(c.Dir, e.Name())}
		revisions, err := repo.revisions()
		if err != nil {
			return nil, err
		}
		for _, revision := range revisions {
			refs = append(refs, hubReference(id, revision))
		}
	}
	slices.Sort(refs)
	return refs, nil
}

// repoOfFolder is the repository that a folder of the cache is of.
func repoOfFolder(e fs.DirEntry) (id string, ok bool) {
	name, ok := strings.CutPrefix(e.Name(), hubFolder)
	id = strings.Replace(name, "--", "/", 1)
	return id, ok && e.IsDir() && checkRepo(id) == nil
}

func checkRepo(id string) error {
	if !repoForm.MatchString(id) || strings.Contains(id, "--") || strings.Contains(id, "..") {
		return fmt.Errorf("%w: %q is no ORG/NAME", source.ErrReference, id)
	}
	return nil
}

func hubReference(id, revision string) string {
	if revision == mainRevision {
		return id
	}
	return id + "@" + revision
}

// Resolve is [source.Source]. The model is named and has the reference as if it came from the hub, so that the hub is
// asked for it later. It has a revision only where the cache knows the list of the commit's files and has all of them.
func (c HFCache) Resolve(ctx context.Context, ref string, _ source.Options) (*source.Model, error) {
	id, revision, ok := strings.Cut(ref, "@")
	if !ok {
		revision = mainRevision
	}
	if err := checkRepo(id); err != nil {
		return nil, err
	}
	dir, err := filepath.Abs(c.Dir)
	if err != nil {
		return nil, err
	}
	repo := hubRepo{id: id, dir: filepath.Join(dir, hubFolder+strings.ReplaceAll(id, "/", "--"))}
	m, err := repo.resolve(ctx, revision)
	if err != nil {
		return nil, fmt.Errorf("%s in the Hugging Face cache %s: %w", ref, c.Dir, err)
	}
	return m, nil
}

// hubRepo is one repository of a cache.
type hubRepo struct{ id, dir string }

// revisions are the names that the repository has; commits where it has none.
func (r hubRepo) revisions() ([]string, error) {
	var names []string
	err := filepath.WalkDir(filepath.Join(r.dir, "refs"), func(path string, d fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if err != nil || d.IsDir() {
			return err
		}
		name, err := filepath.Rel(filepath.Join(r.dir, "refs"), path)
		names = append(names, filepath.ToSlash(name))
		return err
	})
	if err != nil || len(names) > 0 {
		return names, err
	}
	entries, err := os.ReadDir(filepath.Join(r.dir, "snapshots"))
	for _, e := range entries {
		if commitForm.MatchString(e.Name()) {
			names = append(names, e.Name())
		}
	}
	if errors.Is(err, fs.ErrNotExist) {
		err = nil
	}
	return names, err
}

func (r hubRepo) resolve(ctx context.Context, revision string) (*source.Model, error) {
	commit, err := r.commit(revision)
	if err != nil {
		return nil, err
	}
	for _, dir := range []string{"", "blobs", "snapshots", "snapshots/" + commit} {
		if err := checkFolder(filepath.Join(r.dir, filepath.FromSlash(dir))); err != nil {
			return nil, err
		}
	}
	s := &snapshot{repo: r, dir: filepath.Join(r.dir, "snapshots", commit), files: &collection{from: make(map[string]string)}}
	if err := s.folder(ctx, ""); err != nil {
		return nil, err
	}
	if len(s.files.files) == 0 {
		return nil, fmt.Errorf("commit %s: %w: there are no files", commit, ErrPath)
	}
	if err := s.files.checkNames(); err != nil {
		return nil, err
	}
	m := &source.Model{
		Name: "hf.co/" + r.id + ":" + legalTag(revision), Reference: "hf://" + hubReference(r.id, revision), Files: s.files.files,
	}
	if r.whole(commit, s.files.from) {
		m.Revision = commit
	}
	return m, nil
}

// checkFolder refuses a link in the place of a folder: what it leads to is not the cache's.
func checkFolder(dir string) error {
	info, err := os.Lstat(dir)
	switch {
	case errors.Is(err, fs.ErrNotExist), err == nil && info.IsDir():
		return nil
	case err != nil:
		return err
	}
	return fmt.Errorf("%s: %w: it is no folder", dir, ErrPath)
}

// legalTag is a revision as the tag of a name in the store.
func legalTag(revision string) string {
	tag := strings.Map(func(c rune) rune {
		if c < 0x7f && (c == '.' || c == '_' || '0' <= c && c <= '9' || 'a' <= c|0x20 && c|0x20 <= 'z') {
			return c
		}
		return '-'
	}, revision)
	if tag[0] == '.' || tag[0] == '-' {
		tag = "_" + tag[1:]
	}
	return tag
}

// commit is what a revision names.
func (r hubRepo) commit(revision string) (string, error) {
	if commitForm.MatchString(revision) {
		return revision, nil
	}
	clean, err := manifest.SafePath(revision)
	if err != nil {
		return "", fmt.Errorf("%w: %q is no revision", source.ErrReference, revision)
	}
	path := filepath.Join(r.dir, "refs", filepath.FromSlash(clean))
	raw, err := readSmall(path, maxRef)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return "", fmt.Errorf("revision %q: %w", revision, ErrNotFound)
	case err != nil:
		return "", err
	}
	commit := strings.TrimSpace(string(raw))
	if !commitForm.MatchString(commit) {
		return "", fmt.Errorf("%s: %w: it is no commit", path, ErrPath)
	}
	return commit, nil
}

// whole tells whether the cache has the list of the commit's files, and files has all of them.
func (r hubRepo) whole(commit string, files map[string]string) bool {
	raw, err := readSmall(filepath.Join(r.dir, "trees", commit+".json"), maxTrees)
	if err != nil {
		return false
	}
	var list struct {
		Files map[string]json.RawMessage `json:"files"`
	}
	if json.Unmarshal(raw, &list) != nil || len(list.Files) == 0 {
		return false
	}
	for path := range list.Files {
		if _, ok := files[path]; !ok {
			return false
		}
	}
	return true
}
