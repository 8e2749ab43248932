package main

import (
	"cmp"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/mstore/mstore"
	"github.com/mstore/mstore/fetch/source"
	"github.com/mstore/mstore/manifest"
)

// What JSON results say of models; their schemas are in spec/output.

type fileDoc struct {
	Path    string           `json:"path"`
	Digest  digest.Digest    `json:"digest"`
	Size    int64            `json:"size"`
	Format  string           `json:"format"`
	Role    manifest.Role    `json:"role,omitempty"`
	Archive manifest.Archive `json:"archive,omitempty"`
	Verdict string           `json:"verdict"`
}

type sourceDoc struct {
	Reference string        `json:"reference"`
	Digest    digest.Digest `json:"digest,omitempty"`
	Revision  string        `json:"revision,omitempty"`
	Validator string        `json:"validator,omitempty"`
	Platform  string        `json:"platform,omitempty"`
	Include   []string      `json:"include,omitempty"`
	Exclude   []string      `json:"exclude,omitempty"`
	PlainHTTP bool          `json:"plainHTTP,omitempty"`
}

// tagDoc is what is known of a model from its tag alone.
type tagDoc struct {
	Name     string        `json:"name"`
	Digest   digest.Digest `json:"digest"`
	Size     int64         `json:"size"`
	Kind     manifest.Kind `json:"kind"`
	Source   *sourceDoc    `json:"source"`
	Pinned   bool          `json:"pinned"`
	LastUsed time.Time     `json:"lastUsed"`
	Created  time.Time     `json:"created"`
}

// verdictUnknown is the verdict on a file that no inspector has seen.
const verdictUnknown = "unknown"

func filesOf(m *mstore.Model) []fileDoc {
	files := make([]fileDoc, 0, len(m.Files))
	for _, f := range m.Files {
		files = append(files, fileDoc{
			Path: f.Path, Digest: f.Digest, Size: f.Size, Format: cmp.Or(f.Format, verdictUnknown),
			Role: f.Role, Archive: f.Archive, Verdict: verdictUnknown,
		})
	}
	return files
}

// sourceOf is null for a model that came from nowhere that could be asked again.
func sourceOf(m *mstore.Model) *sourceDoc {
	if m.Source.Reference == "" {
		return nil
	}
	var taken source.Options
	taken.SetFilter(m.Source.Filter)
	return &sourceDoc{
		m.Source.Reference, m.Source.Digest, m.Source.Revision, m.Source.Validator, m.Source.Platform, taken.Include,
		taken.Exclude, m.Source.PlainHTTP,
	}
}

func tagOf(m *mstore.Model) tagDoc {
	return tagDoc{
		Name: m.Name, Digest: m.Digest, Size: m.Size, Kind: m.Kind, Source: sourceOf(m), Pinned: m.Pinned,
		LastUsed: m.LastUsed.UTC(), Created: m.Created.UTC(),
	}
}

// nameLine prints a model as scripts read it: name@digest.
func (p *program) nameLine(name string, d digest.Digest) error {
	return p.print("%s@%s", clean(name), d)
}
