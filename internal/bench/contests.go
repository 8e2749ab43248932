package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"

	"github.com/mstore/mstore/internal/registrytest"
)

// contests are all there are, the quick ones first.
func contests() []contest {
	return []contest{
		{"start: print the version", startUp},
		{"pull again what is there", pullAgain},
		{"list 10,000 tags", list},
		{"gc with nothing to do over 100,000 blobs", collect},
		{"import a folder (4 files)", importFolder},
		{"verify (4 files)", verify},
		{"pull from loopback (1 file)", func(ctx context.Context, b *bench) ([]contender, error) { return pull(ctx, b, 1) }},
		{"pull from loopback (4 files)", func(ctx context.Context, b *bench) ([]contender, error) { return pull(ctx, b, 4) }},
		{"push to loopback (4 files)", push},
	}
}

func (b *bench) tool(name string) string { return filepath.Join(b.tools, name) }

// store is the command on a store of its own.
func (b *bench) store(dir string, args ...string) []string {
	return append([]string{b.mstore, "--store", filepath.Join(b.dir, dir), "--quiet"}, args...)
}

func startUp(_ context.Context, b *bench) ([]contender, error) {
	return []contender{
		{name: "mstore", args: []string{b.mstore, "version"}},
		{name: "oras", args: []string{b.tool("oras"), "version"}},
		{name: "crane", args: []string{b.tool("crane"), "version"}},
	}, nil
}

// serve starts a registry that lives as long as the bench, with a model of n files pushed to it.
func (b *bench) serve(ctx context.Context, name string, n int, size int64) (ref string, err error) {
	conf, err := b.fresh(name + "-registry")
	if err != nil {
		return "", err
	}
	registry, err := b.registry(ctx, conf, registrytest.Options{})
	if err != nil {
		return "", err
	}
	dir, err := b.model(ctx, name+"-model", n, size)
	if err != nil {
		return "", err
	}
	ref = registry.Host + "/bench/" + name + ":v1"
	for _, args := range [][]string{
		b.store(name+"-origin", "import", dir, "--as", "m:v1"),
		b.store(name+"-origin", "push", "m:v1", ref),
	} {
		if _, err := (contender{args: args}).run(ctx); err != nil {
			return "", err
		}
	}
	return ref, nil
}

// pullers are the contenders that pull ref into folders of their own; empty says whether these are emptied each time.
func (b *bench) pullers(ref string, empty bool) ([]contender, error) {
	contenders := []contender{
		{name: "mstore", args: b.store("pull-mstore", "pull", ref)},
		{name: "oras, to an OCI layout", args: []string{
			b.tool("oras"), "cp", "--no-tty", "--from-plain-http", "--to-oci-layout", ref, filepath.Join(b.dir, "pull-oras") + ":v1",
		}},
		{name: "crane, to an OCI layout", args: []string{
			b.tool("crane"), "pull", "--insecure", "--format", "oci", ref, filepath.Join(b.dir, "pull-crane"),
		}},
	}
	for i, folder := range []string{"pull-mstore", "pull-oras", "pull-crane"} {
		if _, err := b.fresh(folder); err != nil {
			return nil, err
		}
		if empty {
			contenders[i].reset = func(context.Context) error { _, err := b.fresh(folder); return err }
		}
	}
	return contenders, nil
}

func pullAgain(ctx context.Context, b *bench) ([]contender, error) {
	ref, err := b.serve(ctx, "again", 4, 4<<20)
	if err != nil {
		return nil, err
	}
	contenders, err := b.pullers(ref, false)
	if err != nil {
		return nil, err
	}
	for _, c := range contenders {
		if _, err := c.run(ctx); err != nil {
			return nil, err
		}
	}
	offline := contender{name: "mstore --offline", args: append(b.store("pull-mstore", "pull", ref), "--offline")}
	return append(contenders, offline), nil
}

func pull(ctx context.Context, b *bench, files int) ([]contender, error) {
	ref, err := b.serve(ctx, fmt.Sprintf("pull%d", files), files, b.size)
	if err != nil {
		return nil, err
	}
	return b.pullers(ref, true)
}

func push(ctx context.Context, b *bench) ([]contender, error) {
	ref, err := b.serve(ctx, "push", 4, b.size)
	if err != nil {
		return nil, err
	}
	pullers, err := b.pullers(ref, true)
	if err != nil {
		return nil, err
	}
	for _, c := range pullers { // each pushes from its own form of the model
		if _, err := c.run(ctx); err != nil {
			return nil, err
		}
	}
	to := &target{b: b}
	if err := to.renew(ctx); err != nil {
		return nil, err
	}
	name := to.registry.Host + "/bench/push:v1"
	return []contender{
		{name: "mstore", reset: to.renew, args: b.store("pull-mstore", "push", ref, name)},
		{name: "oras", reset: to.renew, args: []string{
			b.tool("oras"), "cp", "--no-tty", "--from-oci-layout", "--to-plain-http", filepath.Join(b.dir, "pull-oras") + ":v1", name,
		}},
		{name: "crane", reset: to.renew, args: []string{
			b.tool("crane"), "push", "--insecure", "--index", filepath.Join(b.dir, "pull-crane"), name,
		}},
	}, nil
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

func importFolder(ctx context.Context, b *bench) ([]contender, error) {
	dir, err := b.model(ctx, "import-model", 4, b.size)
	if err != nil {
		return nil, err
	}
	to := filepath.Join(b.dir, "import-to")
	reset := func(context.Context) error { _, err := b.fresh("import-to"); return err }
	return []contender{
		{name: "mstore", reset: reset, args: b.store("import-to", "import", dir, "--as", "m:v1")},
		{name: "bound: write, hash and sync", reset: reset, args: chore("write-and-hash", dir, to)},
		{name: "cp and sha256sum", reset: reset, args: []string{
			"sh", "-c", `cp "$0"/* "$1" && sha256sum "$1"/* && sync`, dir, to,
		}},
	}, nil
}

func verify(ctx context.Context, b *bench) ([]contender, error) {
	dir, err := b.model(ctx, "verify-model", 4, b.size)
	if err != nil {
		return nil, err
	}
	made := contender{args: b.store("verify-store", "import", dir, "--as", "m:v1")}
	if _, err := made.run(ctx); err != nil {
		return nil, err
	}
	if err := os.RemoveAll(dir); err != nil { //nolint:forbidigo // page cache for the store's files alone
		return nil, err
	}
	blobs := filepath.Join(b.dir, "verify-store", "blobs", "sha256")
	return []contender{
		{name: "mstore", args: b.store("verify-store", "verify")},
		{name: "bound: hash on all cores", args: chore("hash-all", blobs)},
		{name: "sha256sum", args: []string{"sh", "-c", `sha256sum "$0"/*`, blobs}},
	}, nil
}
