package registry

import (
	"context"
	"sync"
	"time"

	"oras.land/oras-go/v2/registry/remote/auth"
)

// freshFor is how long a new token is held to be good without asking. A request that was refused with an older one
// takes it then.
const freshFor = 5 * time.Second

// tokens are those that a registry's clients share. One that has expired is renewed once, however many requests were
// refused with it, and however late they hear of it.
type tokens struct {
	auth.Cache

	mu   sync.Mutex
	last map[string]token // by registry, scheme and scopes
}

type token struct {
	text string
	from time.Time
}

func newTokens() *tokens { return &tokens{Cache: auth.NewCache(), last: make(map[string]token)} }

type sentKey struct{}

// withSent lets a request's tokens know which one it was sent with.
func withSent(ctx context.Context) context.Context {
	return context.WithValue(ctx, sentKey{}, new(string))
}

// GetToken is auth.Cache's.
func (t *tokens) GetToken(ctx context.Context, registry string, scheme auth.Scheme, key string) (string, error) {
	text, err := t.Cache.GetToken(ctx, registry, scheme, key)
	if sent, ok := ctx.Value(sentKey{}).(*string); ok && err == nil {
		*sent = text
	}
	return text, err
}

// Set is auth.Cache's.
func (t *tokens) Set(
	ctx context.Context, registry string, scheme auth.Scheme, key string, fetch func(context.Context) (string, error),
) (string, error) {
	id := registry + " " + scheme.String() + " " + key
	sent, _ := ctx.Value(sentKey{}).(*string)
	return t.Cache.Set(ctx, registry, scheme, key, func(ctx context.Context) (string, error) {
		t.mu.Lock()
		last := t.last[id]
		t.mu.Unlock()
		if sent != nil && *sent != "" && *sent != last.text && time.Since(last.from) < freshFor {
			return last.text, nil
		}
		text, err := fetch(ctx)
		if err == nil {
			t.mu.Lock()
			t.last[id] = token{text, time.Now()}
			t.mu.Unlock()
		}
		return text, err
	})
}
