package mstore

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/mstore/mstore/fetch"
	"github.com/mstore/mstore/fetch/local"
	"github.com/mstore/mstore/fetch/source"
	"github.com/mstore/mstore/stats"
)

// The places of other tools that models are adopted from. What follows is the folder, and after a "#" one model in it:
// org/name[@revision], or [[host/]namespace/]model[:tag].
const (
	HuggingFaceCache = "hf-cache:"
	OllamaStore      = "ollama-store:"
)

// AdoptOptions say how an adoption goes. The zero value is the default.
type AdoptOptions struct {
	As   string          // the name in the store; empty: what a pull of the model would give it
	Mode fetch.LocalMode // how the files get into the store; empty: reflink, else copy
	Jobs int             // files at once; 0: fetch.DefaultJobs
}

// IsAdoption tells whether a path to import is the place of another tool.
func IsAdoption(path string) bool {
	return strings.HasPrefix(path, HuggingFaceCache) || strings.HasPrefix(path, OllamaStore)
}

// place is a folder of another tool, or a model in it.
type place struct {
	scheme, dir, model string
	source             lister
}

type lister interface {
	source.Source
	List(ctx context.Context) ([]string, error)
}

// parsePlace finds out which part of a place is the folder: the longest that exists.
func parsePlace(typed string) (place, error) {
	p := place{scheme: HuggingFaceCache}
	rest, ok := strings.CutPrefix(typed, HuggingFaceCache)
	if !ok {
		p.scheme = OllamaStore
		if rest, ok = strings.CutPrefix(typed, OllamaStore); !ok {
			return p, usagef("%q is no place to adopt from: want %sDIR or %sDIR", typed, HuggingFaceCache, OllamaStore)
		}
	}
	if rest == "" || rest[0] == '#' {
		return p, usagef("%q says no folder", typed)
	}
	for end := len(rest); ; {
		if info, err := os.Stat(rest[:end]); err == nil && info.IsDir() {
			p.dir, p.model = rest[:end], strings.TrimPrefix(rest[end:], "#")
			break
		}
		if end = strings.LastIndexByte(rest[:end], '#'); end <= 0 {
			return p, fmt.Errorf("%s: there is no such folder: %w", typed, fs.ErrNotExist)
		}
	}
	if p.scheme == HuggingFaceCache {
		p.source = local.HFCache{Dir: p.dir}
	} else {
		p.source = local.OllamaStore{Dir: p.dir}
	}
	return p, nil
}

// Adoptable lists the models that [Store.Adopt] can be asked for in a place of another tool, each as Adopt takes it;
// of a place with a model, that one. A model that is listed may turn out to be damaged or half downloaded.
//
// Errors: ErrUsage for what is no such place, ErrNotFound where there is none, ErrStorage.
func (s *Store) Adoptable(ctx context.Context, typed string) (_ []string, err error) {
	defer classify(&err)
	p, err := parsePlace(typed)
	if err != nil {
		return nil, err
	}
	if p.model != "" {
		return []string{typed}, nil
	}
	models, err := p.source.List(ctx)
	if err != nil {
		return nil, err
	}
	if len(models) == 0 {
		return nil, fmt.Errorf("%s has no models: %w", typed, fs.ErrNotExist)
	}
	for i, m := range models {
		models[i] = p.scheme + p.dir + "#" + m
	}
	return models, nil
}

// Adopt brings a model that another tool has on this machine into the store, and downloads nothing. Its files are held
// against the digests that they are named by. Where it came from is recorded as if it had been pulled: its name asks
// there for something newer. A model of Ollama's keeps its digest; one of a Hugging Face cache has that of the same
// files imported from a folder.
//
// With fetch.Hardlink the files become the store's and the other tool's at once, read-only for both.
//
// Errors: ErrUsage for what is no model, ErrNotFound, ErrVerification for files that are damaged or not all there,
// ErrQuarantined, ErrStorage.
func (s *Store) Adopt(ctx context.Context, typed string, o AdoptOptions) (adopted *Pulled, err error) {
	defer classify(&err)
	start := time.Now()
	defer func() { s.record(stats.Act{Kind: stats.Import, Name: o.As}, adopted, start, err) }()
	p, err := parsePlace(typed)
	if err != nil {
		return nil, err
	}
	opts := fetch.Options{Jobs: o.Jobs, Local: o.Mode}
	if o.As != "" {
		if opts.As, err = newName(o.As); err != nil {
			return nil, err
		}
	}
	if p.model == "" {
		return nil, usagef("%q says no model: want %s#MODEL", typed, typed)
	}
	abs, err := filepath.Abs(p.dir)
	if err != nil {
		return nil, err
	}
	if s.holds(abs) {
		return nil, usagef("%s is in the store", abs)
	}
	r, err := s.puller().Pull(ctx, p.source, p.model, nil, opts)
	if errors.Is(err, errors.ErrUnsupported) {
		err = fmt.Errorf("%s: %w", typed, err)
	}
	if err != nil {
		return nil, err
	}
	return s.pulled(r, start), nil
}
