package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"time"
)

const (
	farRate  = 25_000_000            // bytes a second and connection
	farDelay = 50 * time.Millisecond // to connect, and again to the first byte
	cutAfter = 100_000_000           // bytes
	oneFile  = 2 << 30               // bytes; -size makes it smaller
	farFile  = 512 << 20             // bytes, where one connection takes 21 s
	hugeFile = 20 << 30              // bytes
)

// contests are all there are, the quick ones first.
func contests() []contest {
	return slices.Concat(local(), near(), away(), bounds(), pushes())
}

// local are those in which little or nothing goes over a network.
func local() []contest {
	return []contest{
		{name: "start: print the version", prepare: startUp},
		{name: "pull again what is there", prepare: pullAgain},
		{name: "list 10,000 tags", prepare: list},
		{name: "gc with nothing to do over 100,000 blobs", prepare: collect},
		{name: "import a folder (4 files)", prepare: importFolder},
		{name: "verify (4 files)", prepare: verify},
	}
}

// near are pulls from loopback.
func near() []contest {
	mstore := mstorePull()
	return []contest{
		{
			name: "pull from loopback to memory (1 file)",
			prepare: fromRegistry(1, true, cranePull, orasPull, regctlPull, skopeoPull,
				aria2, aria2Checksum, curlPull, curlThenHash),
		},
		{
			name:    "pull from loopback to disk (1 file)",
			prepare: fromRegistry(1, false, cranePull, orasPull, regctlPull, aria2, aria2Checksum, curlThenHash),
		},
		{
			name:    "pull from loopback to memory (4 files)",
			prepare: fromRegistry(several, true, cranePull, orasPull, regctlPull, skopeoPull),
		},
		{
			name:    "pull from loopback to disk (4 files)",
			prepare: fromRegistry(several, false, cranePull, orasPull, regctlPull),
		},
		{
			name:    "pull from nginx, TLS 1.3",
			prepare: fromNginx(oneFile, "ssl", shape{}, mstore, cranePull, orasPull, regctlPull, curlPull, aria2),
		},
		{
			name:    "pull from nginx, HTTP/2",
			prepare: fromNginx(oneFile, "ssl http2", shape{}, mstore, cranePull, orasPull, regctlPull, curlPull, aria2),
		},
	}
}

// away are pulls from a server that is far, or does not keep a connection.
func away() []contest {
	mstore, mstore8, mstore16 := mstorePull(), mstorePull("--connections", "8"), mstorePull("--connections", "16")
	return []contest{
		{
			name: "pull from a far server, 512 MiB", figure: "of the line",
			prepare: fromNginx(farFile, "", far(), ofLine(mstore, 32), ofLine(mstore16, 16), ofLine(aria2, 16), ofLine(aria2Checksum, 16),
				ofLine(cranePull, 1), ofLine(orasPull, 1)),
		},
		{
			name: "pull from a far server, 2 GiB", figure: "of the line",
			prepare: fromNginx(oneFile, "", far(), ofLine(mstore, 32), ofLine(mstore8, 8), ofLine(mstore16, 16),
				ofLine(aria2, 16), ofLine(aria2Checksum, 16)),
		},
		{
			name: "pull from a far HTTP/2 server, 512 MiB", figure: "of the line",
			prepare: fromNginx(farFile, "ssl http2", far(), ofLine(mstore, 32), ofLine(mstore16, 16), ofLine(aria2Checksum, 16),
				ofLine(cranePull, 1), ofLine(curlPull, 1)),
		},
		{
			name: "pull, cut after every 100 MB", figure: "sent / size",
			prepare: fromNginx(oneFile, "", shape{cut: cutAfter}, sentFor(mstore), sentFor(aria2Checksum),
				sentFor(cranePull), sentFor(orasPull), sentFor(regctlPull), sentFor(skopeoPull), sentFor(curlPull)),
		},
		{name: "pull, killed and resumed 20 times", prepare: killAndResume, figure: "sent / size", once: true},
	}
}

// bounds are pulls whose memory counts.
func bounds() []contest {
	mstore, mstore32 := mstorePull(), mstorePull("--connections", "32")
	return []contest{
		{
			name: "memory of a pull, 2 GiB", figure: "allowed",
			prepare: fromNginx(oneFile, "", shape{}, allowed(mstore, 8), allowed(mstore32, 32)),
		},
		{name: "memory of a pull, 20 GiB (sparse)", prepare: huge, figure: "allowed", once: true},
	}
}

func pushes() []contest {
	return []contest{
		{
			name:    "push to loopback (1 file)",
			prepare: push(1, oneFile, shape{}, pushRegctl, pushCrane, pushOras, pushCurl),
		},
		{name: "push to loopback (4 files)", prepare: push(several, oneFile, shape{}, pushRegctl, pushCrane, pushOras)},
		{name: "push to a far registry (4 files, 512 MiB)", prepare: push(several, farFile, far(), pushRegctl, pushCrane, pushOras)},
	}
}

func startUp(_ context.Context, b *bench) ([]contender, error) {
	return []contender{
		{name: "mstore", args: []string{b.mstore, "version"}},
		{name: "oras", args: []string{"oras", "version"}},
		{name: "crane", args: []string{"crane", "version"}},
		{name: "regctl", args: []string{"regctl", "version"}},
	}, nil
}

func pullAgain(ctx context.Context, b *bench) ([]contender, error) {
	l, err := b.layout(ctx, several, several*piece, false)
	if err != nil {
		return nil, err
	}
	from, err := b.distribution(ctx, l)
	if err != nil {
		return nil, err
	}
	contenders := make([]contender, 0, several+1)
	for i, p := range []pull{mstorePull(), orasPull, cranePull, regctlPull} {
		to, err := b.fresh(fmt.Sprintf("again-%d", i))
		if err != nil {
			return nil, err
		}
		c := b.pullers(from, to, p)[0]
		c.reset = nil
		e := b.admit([]contender{c})[0]
		if e.err == nil {
			e.run(ctx)
		}
		if e.err != nil && !errors.Is(e.err, errLeftOut) {
			return nil, e.err
		}
		contenders = append(contenders, c)
	}
	offline := mstorePull("--offline")(b, from, filepath.Join(b.dir, "again-0"))
	return append(contenders, offline), nil
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
