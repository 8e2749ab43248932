package main

import (
	"context"
	"path/filepath"
	"strconv"
	"strings"
)

// env keeps contenders away from the settings and proxies of who runs the bench, and lets them trust its certificate.
func (b *bench) env() []string {
	return []string{
		"HOME=" + b.dir, "DOCKER_CONFIG=" + b.dir, "SSL_CERT_FILE=" + b.certificate(),
		"no_proxy=127.0.0.1", "NO_PROXY=127.0.0.1",
	}
}

// store is the command on a store of its own, in the bench's folder unless dir is absolute.
func (b *bench) store(dir string, args ...string) []string {
	if !filepath.IsAbs(dir) {
		dir = filepath.Join(b.dir, dir)
	}
	return append([]string{b.mstore, "--store", dir, "--quiet"}, args...)
}

// pull gets a model from its origin into a folder.
type pull func(b *bench, from origin, to string) contender

// pullers are contenders that pull from one origin, into one folder which is empty before each run, so that no more
// than one of them takes up room. The first is mstore.
func (b *bench) pullers(from origin, to string, pulls ...pull) []contender {
	contenders := make([]contender, 0, len(pulls))
	for _, p := range pulls {
		c := p(b, from, to)
		c.reset = func(context.Context) error { return renew(to) }
		c.check = func(ctx context.Context) error {
			digests := make([]string, 0, len(from.files))
			for _, f := range from.files {
				digests = append(digests, f.Digest.String())
			}
			_, err := contender{args: chore("check", append([]string{to}, digests...)...)}.run(ctx)
			return err
		}
		c.link, c.env = from.link, b.env()
		contenders = append(contenders, c)
	}
	return contenders
}

// mstorePull is mstore with further flags, which are its name, too.
func mstorePull(flags ...string) pull {
	return func(b *bench, from origin, to string) contender {
		args := b.store(to, "pull", from.ref())
		if !from.tls {
			args = append(args, "--plain-http")
		}
		return contender{name: strings.Join(append([]string{"mstore"}, flags...), " "), args: append(args, flags...)}
	}
}

func cranePull(_ *bench, from origin, to string) contender {
	args := []string{"crane", "pull", "--format", "oci", from.ref(), filepath.Join(to, "crane")}
	if !from.tls {
		args = append(args, "--insecure")
	}
	return contender{name: "crane, to an OCI layout", args: args}
}

func orasPull(_ *bench, from origin, to string) contender {
	args := []string{"oras", "cp", "--no-tty", from.ref(), "--to-oci-layout", filepath.Join(to, "oras") + ":v1"}
	if !from.tls {
		args = append(args, "--from-plain-http")
	}
	return contender{name: "oras, to an OCI layout", args: args}
}

func regctlPull(_ *bench, from origin, to string) contender {
	return contender{name: "regctl, to an OCI layout", args: append(regctl(from.host, from.tls),
		"image", "copy", from.ref(), "ocidir://"+filepath.Join(to, "regctl")+":v1")}
}

func regctl(host string, tls bool) []string {
	setting := "tls=disabled"
	if tls {
		setting = "tls=enabled"
	}
	return []string{"regctl", "--host", "reg=" + host + "," + setting}
}

func skopeoPull(_ *bench, from origin, to string) contender {
	return contender{name: "skopeo, to a folder", args: []string{
		"skopeo", "--insecure-policy", "copy", "-q", "--src-tls-verify=" + strconv.FormatBool(from.tls),
		"docker://" + from.ref(), "dir:" + filepath.Join(to, "skopeo"),
	}}
}

func aria2(b *bench, from origin, to string) contender {
	return contender{name: "aria2c -x16, no hash", args: b.aria2(from, to)}
}

func aria2Checksum(b *bench, from origin, to string) contender {
	args := append(b.aria2(from, to), "--checksum=sha-256="+from.files[0].Digest.Encoded())
	return contender{name: "aria2c -x16 --checksum", args: args}
}

// aria2 has 16 connections at once, and does not give up when they are cut.
func (b *bench) aria2(from origin, to string) []string {
	return []string{
		"aria2c", "--no-conf", "-q", "-x16", "-s16", "-k1M", "-m0", "--file-allocation=falloc",
		"--ca-certificate=" + b.certificate(), "-d", to, "-o", "file", from.url(),
	}
}

func curlPull(b *bench, from origin, to string) contender {
	return contender{name: "curl, no hash", args: []string{
		"curl", "-sSf", "--cacert", b.certificate(), "-o", filepath.Join(to, "file"), from.url(),
	}}
}

func curlThenHash(b *bench, from origin, to string) contender {
	return contender{name: "curl, then sha256sum", args: []string{
		"sh", "-c", `curl -sSf --cacert "$0" -o "$1" "$2" && sha256sum "$1"`,
		b.certificate(), filepath.Join(to, "file"), from.url(),
	}}
}
