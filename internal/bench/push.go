package main

import (
	"context"
	"fmt"
	"net/http"

	"github.com/mstore/mstore/internal/registrytest"
)

// push sends a model of n files to a registry, at the end of a link where s is not zero.
func push(n int, size int64, s shape, peers ...func(b *bench, o origin) contender) func(context.Context, *bench) ([]contender, error) {
	return func(ctx context.Context, b *bench) ([]contender, error) {
		l, err := b.layout(ctx, n, min(size, b.size), false)
		if err != nil {
			return nil, err
		}
		if _, err := b.fresh("push-store"); err != nil {
			return nil, err
		}
		load := contender{args: b.store("push-store", "pull", "oci-layout:"+l.dir+":v1", "--as", "m:v1")}
		if _, err := load.run(ctx); err != nil {
			return nil, err
		}
		to := &target{b: b}
		if err := to.renew(ctx); err != nil {
			return nil, err
		}
		o := origin{layout: l, host: to.registry.Host}
		if s != (shape{}) {
			if o, err = o.behind(b, s); err != nil {
				return nil, err
			}
		}
		contenders := []contender{{
			name: "mstore", env: b.env(), args: b.store("push-store", "push", "m:v1", o.ref(), "--plain-http"),
		}}
		for _, peer := range peers {
			contenders = append(contenders, peer(b, o))
		}
		for i := range contenders {
			contenders[i].reset = to.renew
			contenders[i].check = func(ctx context.Context) error { return to.has(ctx, l) }
		}
		return contenders, nil
	}
}

// target is a registry that is empty before each push, at one address.
type target struct {
	b        *bench
	registry *registrytest.Registry
}

func (t *target) renew(ctx context.Context) error {
	opts := registrytest.Options{}
	if t.registry != nil {
		t.registry.Stop()
		opts.Addr = t.registry.Host
	}
	conf, err := t.b.fresh("push-target")
	if err != nil {
		return err
	}
	t.registry, err = t.b.registry(ctx, conf, opts)
	return err
}

// has fails unless the registry, which has compared the digests, has every file.
func (t *target) has(ctx context.Context, l layout) error {
	for _, f := range l.files {
		at := "http://" + t.registry.Host + "/v2/" + repository + "/blobs/" + f.Digest.String()
		req, err := http.NewRequestWithContext(ctx, http.MethodHead, at, http.NoBody)
		if err != nil {
			return err
		}
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			return err
		}
		if err := resp.Body.Close(); err != nil {
			return err
		}
		if resp.StatusCode != http.StatusOK || resp.ContentLength != f.Size {
			return fmt.Errorf("the registry does not have %s: %s", f.Digest, resp.Status)
		}
	}
	return nil
}

// pushOras sends a layout to where it is an origin.
func pushOras(b *bench, o origin) contender {
	return contender{name: "oras", env: b.env(), args: []string{
		b.tool("oras"), "cp", "--no-tty", "--from-oci-layout", o.dir + ":v1", "--to-plain-http", o.ref(),
	}}
}

func pushCrane(b *bench, o origin) contender {
	return contender{name: "crane", env: b.env(), args: []string{"crane", "push", "--insecure", o.dir, o.ref()}}
}

func pushRegctl(b *bench, o origin) contender {
	args := append(regctl(o.host, false), "image", "copy", "ocidir://"+o.dir+":v1", o.ref())
	return contender{name: "regctl", env: b.env(), args: args}
}

// pushCurl sends the first file alone, in one request.
func pushCurl(b *bench, o origin) contender {
	const script = `at=$(curl -sSf -X POST -D - -o /dev/null "$0" | tr -d '\r' | sed -n 's/^[Ll]ocation: //p') &&
curl -sSf -T "$1" "$at&digest=$2"`
	first := o.files[0].Digest
	uploads := "http://" + o.host + "/v2/" + repository + "/blobs/uploads/"
	return contender{name: "curl PUT", env: b.env(), args: []string{
		"sh", "-c", script, uploads, o.blob(first), first.String(),
	}}
}
