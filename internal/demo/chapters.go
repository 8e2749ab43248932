package main

import (
	"context"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/mstore/mstore/internal/hubtest"
)

// pulled is what the demo reads of the answers of import and pull.
type pulled struct {
	Name         string `json:"name"`
	Digest       string `json:"digest"`
	Bytes        int64  `json:"bytes"`
	BytesFetched int64  `json:"bytesFetched"`
	Cached       bool   `json:"cached"`
	Files        []any  `json:"files"`
}

type pushed struct {
	Digest    string `json:"digest"`
	Bytes     int64  `json:"bytes"`
	BytesSent int64  `json:"bytesSent"`
}

type collected struct {
	Removed    []any `json:"removed"`
	FreedBytes int64 `json:"freedBytes"`
	Kept       int   `json:"kept"`
}

type verified struct {
	Checked int `json:"checked"`
	Bad     []struct {
		Digest string `json:"digest"`
	} `json:"bad"`
	Repaired []any `json:"repaired"`
}

func (s *show) imports(ctx context.Context) error {
	s.say("The folder %s becomes a model in a store. Every file is kept as a blob named by its sha256.", s.model)
	var p pulled
	if err := s.ask(ctx, &p, s.first, "import", s.model, "--as", "tiny-llama:v1"); err != nil {
		return err
	}
	s.digest = p.Digest
	if p.Name != "tiny-llama:v1" || !strings.HasPrefix(p.Digest, "sha256:") {
		return fmt.Errorf("import made %q with the digest %q", p.Name, p.Digest)
	}
	s.saw("%s is %s: %d files, %d bytes.", p.Name, p.Digest, len(p.Files), p.Bytes)
	return nil
}

func (s *show) pushes(ctx context.Context) error {
	s.say("The model is pushed to the registry, and then once more.")
	for _, sends := range []bool{true, false} {
		var p pushed
		if err := s.ask(ctx, &p, s.first, "push", "tiny-llama:v1", s.reference); err != nil {
			return err
		}
		if p.Digest != s.digest {
			return fmt.Errorf("push sent %s, not %s", p.Digest, s.digest)
		}
		if sends != (p.BytesSent > 0) {
			return fmt.Errorf("push sent %d of %d bytes", p.BytesSent, p.Bytes)
		}
		s.saw("%d bytes were sent.", p.BytesSent)
	}
	return nil
}

func (s *show) pullsIntoAnotherStore(ctx context.Context) error {
	s.say("Another store, as on another machine, pulls it. One line on stdout says what came.")
	line, err := s.mstore(ctx, s.second, "pull", s.reference)
	if err != nil {
		return err
	}
	name, digest, _ := strings.Cut(strings.TrimSuffix(line, "\n"), "@")
	if digest != s.digest || name != s.reference {
		return fmt.Errorf("pull printed %q, which is not %s", line, s.digest)
	}
	s.name = name
	s.saw("%s", strings.TrimSpace(line))
	return nil
}

func (s *show) pullsAgain(ctx context.Context) error {
	s.say("Pulling what is there costs one question to the registry.")
	var p pulled
	if err := s.ask(ctx, &p, s.second, "pull", s.reference); err != nil {
		return err
	}
	if !p.Cached || p.BytesFetched != 0 || p.Digest != s.digest {
		return fmt.Errorf("the second pull says cached: %v, %d bytes fetched", p.Cached, p.BytesFetched)
	}
	s.saw("Nothing was fetched.")
	return nil
}

func (s *show) pullsFromAHub(ctx context.Context) error {
	s.say("A hub that speaks as Hugging Face's does has the same files. Wherever they come from, the model is the same.")
	repo := hubtest.Repo{ID: "demo/tiny-llama"}
	err := fs.WalkDir(os.DirFS(s.model), ".", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		data, err := fs.ReadFile(os.DirFS(s.model), path)
		repo.Files = append(repo.Files, hubtest.File{Path: path, Data: data, LFS: filepath.Ext(path) == ".safetensors"})
		return err
	})
	if err != nil {
		return err
	}
	hub := hubtest.Serve(hubtest.Options{}, repo)
	defer hub.Close()
	s.hub = hub.Endpoint
	var p pulled
	if err := s.ask(ctx, &p, s.second, "pull", "hf://demo/tiny-llama"); err != nil {
		return err
	}
	if p.Digest != s.digest || p.Cached {
		return fmt.Errorf("the hub's model is %s, not %s", p.Digest, s.digest)
	}
	s.saw("%s is %s too, and its bytes are in the store once.", p.Name, p.Digest)
	_, err = s.mstore(ctx, s.second, "rm", p.Name)
	return err
}

func (s *show) verifies(ctx context.Context) error {
	s.say("Every blob is read and hashed again.")
	var v verified
	if err := s.ask(ctx, &v, s.second, "verify"); err != nil {
		return err
	}
	if v.Checked == 0 || len(v.Bad) > 0 {
		return fmt.Errorf("verify checked %d blobs and found %d bad ones", v.Checked, len(v.Bad))
	}
	s.saw("%d blobs, none bad.", v.Checked)
	return nil
}

func (s *show) exports(ctx context.Context) error {
	dir := filepath.Join(s.dir, "exported")
	s.say("The model is exported to a folder, and compared with the one it was imported from.")
	if _, err := s.mstore(ctx, s.second, "export", s.name, dir); err != nil {
		return err
	}
	n, err := sameTree(s.model, dir)
	if err != nil {
		return fmt.Errorf("the exported folder differs: %w", err)
	}
	s.saw("%d files, the same names, every byte the same.", n)
	return nil
}

func (s *show) repairs(ctx context.Context) error {
	s.say("One bit of one blob is flipped behind mstore's back. verify finds it, and fetches the blob again.")
	digest, err := flipBit(filepath.Join(s.second, "blobs", "sha256"))
	if err != nil {
		return err
	}
	const verification = 4
	var v verified
	if err := s.askExits(ctx, verification, &v, s.second, "verify"); err != nil {
		return err
	}
	if len(v.Bad) != 1 || v.Bad[0].Digest != digest {
		return fmt.Errorf("verify found %v, and %s is the bad one", v.Bad, digest)
	}
	s.saw("verify names %s and exits with %d.", digest, verification)
	var repair verified
	if err := s.ask(ctx, &repair, s.second, "verify", "--repair"); err != nil {
		return err
	}
	if err := s.ask(ctx, &v, s.second, "verify"); err != nil {
		return err
	}
	s.saw("After the repair, none is bad.")
	return nil
}

func (s *show) drops(ctx context.Context) error {
	s.say("The model is dropped: its tag goes, its bytes wait for the collector.")
	if _, err := s.mstore(ctx, s.second, "rm", s.name); err != nil {
		return err
	}
	const notFound = 3
	if _, err := s.mstoreExits(ctx, notFound, s.second, "has", s.name); err != nil {
		return err
	}
	s.saw("The store has no such model any more.")
	return nil
}

func (s *show) collects(ctx context.Context) error {
	s.say("The collector says what it would remove, and then removes just that.")
	var plan, done collected
	if err := s.ask(ctx, &plan, s.second, "gc", "--dry-run"); err != nil {
		return err
	}
	if err := s.ask(ctx, &done, s.second, "gc"); err != nil {
		return err
	}
	if len(plan.Removed) == 0 || len(plan.Removed) != len(done.Removed) || plan.FreedBytes != done.FreedBytes {
		return fmt.Errorf("the plan was to free %d bytes, and %d were", plan.FreedBytes, done.FreedBytes)
	}
	left, err := filepath.Glob(filepath.Join(s.second, "blobs", "sha256", "*"))
	if err != nil {
		return err
	}
	if len(left) > 0 {
		return fmt.Errorf("%d blobs are left", len(left))
	}
	s.saw("%d blobs are gone, %d bytes are free. The first store still has the model:", len(done.Removed), done.FreedBytes)
	_, err = s.mstore(ctx, s.first, "has", "tiny-llama:v1")
	return err
}
