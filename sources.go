package mstore

import (
	"cmp"
	"context"
	"os"
	"slices"
	"strings"
	"sync"

	"github.com/mstore/mstore/fetch/hub"
	"github.com/mstore/mstore/fetch/local"
	"github.com/mstore/mstore/fetch/ollama"
	"github.com/mstore/mstore/fetch/registry"
	"github.com/mstore/mstore/fetch/source"
	"github.com/mstore/mstore/fetch/web"
	"github.com/mstore/mstore/manifest/tags"
)

// HubOptions say how the Hugging Face Hub is spoken to. The zero value is what its other clients do: HF_ENDPOINT,
// HF_HUB_OFFLINE and HF_TOKEN of the environment, or the token that a login has left in HF_HOME.
type HubOptions struct {
	Endpoint string // URL; empty: HF_ENDPOINT, else the hub itself
	Token    string // empty: as the hub's other clients find it
	Offline  bool   // the hub is not asked, as with HF_HUB_OFFLINE=1: what is not in the store fails at once
}

// withEnv is the options with what the environment says where they say nothing.
func (o HubOptions) withEnv() HubOptions {
	o.Endpoint = cmp.Or(o.Endpoint, os.Getenv("HF_ENDPOINT"))
	switch strings.ToUpper(os.Getenv("HF_HUB_OFFLINE")) {
	case "1", "ON", "YES", "TRUE":
		o.Offline = true
	}
	return o
}

// sources are the places that models come from, each by its world.
type sources struct {
	registry *registry.Client
	hub      *hub.Client
	ollama   *ollama.Client
	web      *web.Client
}

func newSources(opts Options) sources {
	plain := func(host string) bool { return slices.Contains(opts.PlainHTTP, host) }
	return sources{
		registry: registry.New(registry.Options{
			HTTP: opts.HTTP, UserAgent: opts.UserAgent, Log: logOf(opts), PlainHTTP: plain,
			Mirrors: func(host string) []string { return opts.Mirrors[host] },
		}),
		hub: hub.New(hub.Options{
			HTTP: opts.HTTP, UserAgent: opts.UserAgent, Log: logOf(opts),
			Endpoint: opts.Hub.Endpoint, Token: hubToken(opts.Hub.Token),
		}),
		ollama: ollama.New(ollama.Options{HTTP: opts.HTTP, UserAgent: opts.UserAgent, PlainHTTP: plain}),
		web:    web.New(web.Options{HTTP: opts.HTTP, UserAgent: opts.UserAgent}),
	}
}

// hubToken is the token that was given, else the one that other clients use, looked for once.
func hubToken(given string) func(context.Context) (string, error) {
	find := sync.OnceValues(func() (string, error) { return hub.TokenFromEnv(os.Getenv, os.ReadFile) })
	return func(context.Context) (string, error) {
		if given != "" {
			return given, nil
		}
		return find()
	}
}

// of is the source of a world, nil for the store itself.
func (s sources) of(w world) source.Source {
	switch w {
	case inRegistry:
		return s.registry
	case inHub:
		return s.hub
	case inOllama:
		return s.ollama
	case onWeb:
		return s.web
	case onDisk:
		return local.Files{}
	case inLayout:
		return local.Layout{}
	case inStore:
	}
	return nil
}

// offline is why a world must not be asked; nil for one that may be.
func (s *Store) offline(w world) error {
	switch {
	case w == inStore, w == onDisk, w == inLayout:
		return nil
	case s.opts.Offline:
		return errOffline
	case w == inHub && s.opts.Hub.Offline:
		return errHubOffline
	}
	return nil
}

// close closes the connections that nobody uses.
func (s sources) close() {
	s.registry.Close()
	s.hub.Close()
	s.ollama.Close()
	s.web.Close()
}

// exactly is the reference of a tag's source, pinned to what the tag means as far as its world can say that.
func exactly(tag tags.Tag) (reference, error) {
	ref, err := parseReference(tag.Source.Reference)
	if err != nil {
		return reference{}, err
	}
	switch {
	case ref.world == inRegistry:
		pin := tag.Descriptor.Digest
		if tag.Source.Filter != "" { // the manifest of what was taken is the store's own
			pin = tag.Source.Digest
		}
		ref.rest, _, _ = strings.Cut(ref.rest, "@")
		ref.rest += "@" + pin.String()
	case ref.world == inHub && tag.Source.Revision != "":
		at, err := hub.ParseReference(ref.rest)
		if err != nil {
			return reference{}, err
		}
		at.Revision = tag.Source.Revision
		ref.rest = at.String()
	}
	return ref, nil
}
