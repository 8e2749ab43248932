package main

import (
	"cmp"
	"context"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/urfave/cli/v2"

	"github.com/mstore/mstore"
	"github.com/mstore/mstore/fetch"
)

func (p *program) importCommand() *cli.Command {
	return &cli.Command{
		Name: "import", Usage: "make a model of files or a folder, or adopt what other tools have", ArgsUsage: "PATH...",
		Description: `Prints name@digest. A folder gives what is in it, a file its base name; the same files give the same
digest everywhere. The files are only read.

A PATH can also be the place of another tool. Its models are adopted, each verified, and nothing is
downloaded; each gets the name that a pull gives it, or the one model what --as says:
  hf-cache:[DIR][#ORG/NAME[@REVISION]]   a Hugging Face cache (default: HF_HUB_CACHE, HF_HOME/hub, ...)
  ollama-store:[DIR][#MODEL[:TAG]]       Ollama's models (default: OLLAMA_MODELS, ~/.ollama/models, ...)
A model that is damaged or was not downloaded to its end is reported, and the others are adopted.
--mode hardlink shares the very files with the other tool, and makes them read-only for both.`,
		Flags: []cli.Flag{
			&cli.StringFlag{Name: "as", Usage: "call the model `NAME` in the store"},
			&cli.StringFlag{
				Name: "mode", Value: string(fetch.Auto),
				Usage: "how files of another tool get into the store: `auto|reflink|hardlink|copy`",
			},
		},
		Action: p.action(p.importPaths),
	}
}

func (p *program) importPaths(ctx context.Context, c *cli.Context) error {
	mode, err := choice(c, "mode", string(fetch.Auto), string(fetch.Reflink), string(fetch.Hardlink), string(fetch.Copy))
	if err != nil {
		return err
	}
	paths := c.Args().Slice()
	if places := slices.ContainsFunc(paths, mstore.IsAdoption); places {
		if !slices.ContainsFunc(paths, func(path string) bool { return !mstore.IsAdoption(path) }) {
			return p.adopt(ctx, c, mstore.AdoptOptions{As: c.String("as"), Mode: fetch.LocalMode(mode)})
		}
		return usagef("files and the places of other tools are not imported at once")
	}
	if c.IsSet("mode") {
		return usagef("--mode is for hf-cache: and ollama-store:")
	}
	name := c.String("as")
	if name == "" {
		return &usageError{text: "import wants --as NAME", hint: "usage: mstore import PATH... --as NAME"}
	}
	return p.withStore(c, func(s *mstore.Store) error {
		stop := p.follow("importing " + name)
		r, err := s.Import(ctx, paths, name, mstore.ImportOptions{})
		stop()
		if err != nil {
			return err
		}
		return p.pulled(r, "imported")
	})
}

// adopt adopts all models of all the places that were named.
func (p *program) adopt(ctx context.Context, c *cli.Context, opts mstore.AdoptOptions) error {
	return p.withStore(c, func(s *mstore.Store) error {
		var models []string
		for _, typed := range c.Args().Slice() {
			place, err := withDefault(typed)
			if err != nil {
				return err
			}
			found, err := s.Adoptable(ctx, place)
			if err != nil {
				return err
			}
			models = append(models, found...)
		}
		if opts.As != "" && len(models) > 1 {
			return &usageError{
				text: "--as is for one model, and there are " + count(int64(len(models)), "model"),
				hint: "name one: " + clean(models[0]),
			}
		}
		return p.each(ctx, models, func(model string) error {
			stop := p.follow("adopting " + model)
			r, err := s.Adopt(ctx, model, opts)
			stop()
			if err != nil {
				return p.failed(model, about("import", model, err))
			}
			return p.pulled(r, "adopted")
		})
	})
}

// withDefault is a place with the folder that the tool itself would use where none was typed.
func withDefault(typed string) (string, error) {
	scheme, rest := mstore.HuggingFaceCache, ""
	find := hubCache
	if strings.HasPrefix(typed, mstore.OllamaStore) {
		scheme, find = mstore.OllamaStore, ollamaModels
	}
	if rest = strings.TrimPrefix(typed, scheme); rest != "" && rest[0] != '#' {
		return typed, nil
	}
	dir, err := find()
	return scheme + dir + rest, err
}

// hubCache is where Hugging Face's libraries have their cache.
func hubCache() (string, error) {
	if dir := os.Getenv("HF_HUB_CACHE"); dir != "" {
		return dir, nil
	}
	home := os.Getenv("HF_HOME")
	if home == "" {
		user, err := os.UserHomeDir()
		if err != nil {
			return "", err
		}
		home = filepath.Join(cmp.Or(os.Getenv("XDG_CACHE_HOME"), filepath.Join(user, ".cache")), "huggingface")
	}
	return filepath.Join(home, "hub"), nil
}

// ollamaModels is where Ollama has its models: the user's, else those of the service that Linux packages set up.
func ollamaModels() (string, error) {
	const service = "/usr/share/ollama/.ollama/models"
	if dir := os.Getenv("OLLAMA_MODELS"); dir != "" {
		return dir, nil
	}
	user, err := os.UserHomeDir()
	if err != nil {
		return "", err
	}
	own := filepath.Join(user, ".ollama", "models")
	if _, err := os.Stat(own); err != nil {
		if _, err := os.Stat(service); err == nil {
			return service, nil
		}
	}
	return own, nil
}
