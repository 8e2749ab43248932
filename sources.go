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

// HubOptions say how the Hugging Face Hub is spoken to. The zero value is what its other clients do: HF_ENDPOINT and
// HF_TOKEN of the environment, or the token that a login has left in HF_HOME.
type HubOptions struct {
	Endpoint string // URL; empty: HF_ENDPOINT, else the hub itself
	Token    string // empty: as the hub's other clients find it
	Offline  bool   // the hub is not asked: what is not in the store fails at once
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
		}),
		hub: hub.New(hub.Options{
			HTTP: opts.HTTP, UserAgent: opts.UserAgent, Log: logOf(opts),
			Endpoint: cmp.Or(opts.Hub.Endpoint, os.Getenv("HF_ENDPOINT")), Token: hubToken(opts.Hub.Token),
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

// of is the source of a world, nil for the store itself; remote tells whether it is across the network.
func (s sources) of(w world) (src source.Source, remote bool) {
	switch w {
	case inRegistry:
		return s.registry, true
	case inHub:
		return s.hub, true
	case inOllama:
		return s.ollama, true
	case onWeb:
		return s.web, true
	case onDisk:
		return local.Files{}, false
	case inLayout:
		return local.Layout{}, false
	case inStore:
	}
	return nil, false
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
