package registry_test

import (
	"context"
	"errors"
	"net"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/mstore/mstore/fetch/registry"
	"github.com/mstore/mstore/fetch/source"
)

const someDigest = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"

// dialTo dials one address, whatever name it is asked for.
func dialTo(addr string) func(context.Context, string, string) (net.Conn, error) {
	return func(ctx context.Context, network, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, network, addr)
	}
}

func TestParseReference(t *testing.T) {
	for s, want := range map[string]registry.Reference{
		"ghcr.io/org/model":                {Host: "ghcr.io", Repository: "org/model", Tag: "latest"},
		"ghcr.io/org/model:v1.0_x":         {Host: "ghcr.io", Repository: "org/model", Tag: "v1.0_x"},
		"GHCR.io/org/model:V1":             {Host: "ghcr.io", Repository: "org/model", Tag: "V1"},
		"localhost/x":                      {Host: "localhost", Repository: "x", Tag: "latest"},
		"localhost:5000/x:v1":              {Host: "localhost:5000", Repository: "x", Tag: "v1"},
		"[::1]:5000/x":                     {Host: "[::1]:5000", Repository: "x", Tag: "latest"},
		"127.0.0.1:5000/a/b__c/d-e.f":      {Host: "127.0.0.1:5000", Repository: "a/b__c/d-e.f", Tag: "latest"},
		"ghcr.io/m@" + someDigest:          {Host: "ghcr.io", Repository: "m", Digest: someDigest},
		"ghcr.io/m:v1@" + someDigest:       {Host: "ghcr.io", Repository: "m", Tag: "v1", Digest: someDigest},
		"registry:5000/m":                  {Host: "registry:5000", Repository: "m", Tag: "latest"},
		"docker.io/ai/smollm2:360M-Q4_K_M": {Host: "docker.io", Repository: "ai/smollm2", Tag: "360M-Q4_K_M"},
	} {
		got, err := registry.ParseReference(s)
		if err != nil || !cmp.Equal(got, want) {
			t.Errorf("ParseReference(%q) = %+v, %v; want %+v", s, got, err, want)
		}
		if again, err := registry.ParseReference(got.String()); err != nil || again != got {
			t.Errorf("%q does not give itself back: %+v, %v", got, again, err)
		}
	}
}

func TestParseReferenceRefuses(t *testing.T) {
	for s, says := range map[string]string{
		"":                                      "want HOST/REPOSITORY",
		"ghcr.io":                               "want HOST/REPOSITORY",
		"ghcr.io/":                              "want HOST/REPOSITORY",
		"org/model":                             "no registry",
		"ghcr.io/Org/Model:v1":                  `lower case; try "org/model"`,
		"ghcr.io/org//model":                    "no repository",
		"ghcr.io/../etc":                        "no repository",
		"ghcr.io/org/model:":                    "no tag",
		"ghcr.io/org/model:a/b":                 "no repository",
		"ghcr.io/m:" + strings.Repeat("a", 129): "no tag",
		"ghcr.io/m:v\x1b":                       "no tag",
		"ghcr.io/m@sha256:abc":                  "64 lower-case",
		"ghcr.io/m@" + strings.ToUpper(someDigest):     "64 lower-case",
		"ghcr.io/m@sha512:" + strings.Repeat("a", 128): "64 lower-case",
		"ghcr.io/m@" + someDigest + "/..":              "64 lower-case",
		"user@ghcr.io/m":                               "no host",
		"gh cr.io/m":                                   "no host",
		"ghcr.io:port/m":                               "no host",
		"ghcr.io:/m":                                   "no host",
		"/m":                                           "no host",
		"https://ghcr.io/m":                            "no host",
		"ghcr.io/" + strings.Repeat("a", 300):          "longer than",
	} {
		_, err := registry.ParseReference(s)
		if !errors.Is(err, source.ErrReference) || !strings.Contains(err.Error(), says) {
			t.Errorf("ParseReference(%.80q) = %v, want source.ErrReference that says %q", s, err, says)
		}
		if err != nil && (len(err.Error()) > 1200 || strings.Contains(err.Error(), "\x1b")) {
			t.Errorf("the error is not fit to print: %q", err)
		}
	}
}

func FuzzParseReference(f *testing.F) {
	f.Add("ghcr.io/org/model:v1@" + someDigest)
	f.Add("[::1]:5000/x")
	f.Fuzz(func(t *testing.T, s string) {
		r, err := registry.ParseReference(s)
		if err != nil {
			return
		}
		if again, err := registry.ParseReference(r.String()); err != nil || again != r {
			t.Errorf("%q gives %+v, which gives %+v, %v", s, r, again, err)
		}
		if strings.Contains(r.Repository, "..") || strings.ContainsAny(r.String(), " \\?#%\n") {
			t.Errorf("%q gives %+v", s, r)
		}
	})
}
