package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/mstore/mstore/internal/registrytest"
)

// origin is a model on a server, which lives as long as the bench.
type origin struct {
	layout

	host string // and port
	tls  bool   // with the bench's certificate
	link *link  // what stands between; nil: nothing
}

const repository = "bench/model"

func (o origin) ref() string { return o.host + "/" + repository + ":v1" }

// url is the address of the model's first file.
func (o origin) url() string {
	scheme := "http://"
	if o.tls {
		scheme = "https://"
	}
	return scheme + o.host + "/v2/" + repository + "/blobs/" + o.files[0].Digest.String()
}

// behind is the same model, far away or with cuts.
func (o origin) behind(b *bench, s shape) (origin, error) {
	l, err := b.link(o.host, s)
	if err == nil {
		o.host, o.link = l.host, l
	}
	return o, err
}

// registry starts a registry that keeps its files in the folder conf.
func (b *bench) registry(ctx context.Context, conf string, opts registrytest.Options) (*registrytest.Registry, error) {
	r, err := registrytest.Serve(ctx, b.tool("registry"), conf, opts)
	if err == nil {
		b.stops = append(b.stops, r.Stop)
	}
	return r, err
}

// distribution is a registry with the model pushed to it, the same one for all contests.
func (b *bench) distribution(ctx context.Context, l layout) (origin, error) {
	if o, ok := b.origins[l.manifest]; ok {
		return o, nil
	}
	conf, err := b.fresh("registry-" + l.manifest.Encoded())
	if err != nil {
		return origin{}, err
	}
	registry, err := b.registry(ctx, conf, registrytest.Options{})
	if err != nil {
		return origin{}, err
	}
	o := origin{layout: l, host: registry.Host}
	b.origins[l.manifest] = o
	_, err = pushOras(b, o).run(ctx)
	return o, err
}

// nginx serves the model as static files, with TLS and HTTP/2 where that is wanted. Without nginx the error is
// [errLeftOut].
func (b *bench) nginx(ctx context.Context, l layout, listen string) (origin, error) {
	binary := b.tool("nginx")
	if binary == "" {
		return origin{}, fmt.Errorf("%w: nginx is not installed", errLeftOut)
	}
	host, err := freeAddress(ctx)
	if err != nil {
		return origin{}, err
	}
	dir, err := b.fresh("nginx-" + filepath.Base(host))
	if err != nil {
		return origin{}, err
	}
	conf := filepath.Join(dir, "nginx.conf")
	text := nginxConfig(dir, host+" reuseport "+listen, b.certificate(), l)
	if err := os.WriteFile(conf, []byte(text), 0o600); err != nil { //nolint:forbidigo // nobody reads it meanwhile
		return origin{}, err
	}
	cmd := exec.Command(binary, "-c", conf, "-e", "stderr") //nolint:gosec,noctx // it is ended by its signal
	cmd.Stderr = os.Stderr
	if err := cmd.Start(); err != nil {
		return origin{}, err
	}
	b.stops = append(b.stops, func() { _ = cmd.Process.Signal(syscall.SIGTERM); _ = cmd.Wait() })
	return origin{layout: l, host: host, tls: listen != ""}, await(ctx, host)
}

// nginxConfig is a registry's read side, as files.
func nginxConfig(dir, listen, certificate string, l layout) string {
	user := ""
	if os.Geteuid() == 0 {
		user = "user root;" // else its workers could not read the bench's folder
	}
	var temp strings.Builder
	for _, kind := range []string{"client_body", "proxy", "fastcgi", "uwsgi", "scgi"} {
		fmt.Fprintf(&temp, "%s_temp_path %s/%s; ", kind, dir, kind)
	}
	return fmt.Sprintf(`daemon off; worker_processes auto; pid %[1]s/pid; error_log stderr crit; %[2]s
events { worker_connections 1024; }
http {
  access_log off; sendfile on; tcp_nopush on; keepalive_requests 100000; default_type application/octet-stream;
  %[3]s
  server {
    listen %[4]s; ssl_certificate %[5]s; ssl_certificate_key %[5]s; ssl_protocols TLSv1.3;
    location = /v2/ { default_type application/json; return 200 "{}"; }
    rewrite ^/v2/%[6]s/manifests/v1$ /v2/%[6]s/manifests/%[7]s last;
    location ~ "^/v2/%[6]s/blobs/sha256:([0-9a-f]+)$" {
      alias %[8]s/blobs/sha256/$1; add_header Docker-Content-Digest sha256:$1;
    }
    location ~ "^/v2/%[6]s/manifests/sha256:([0-9a-f]+)$" {
      alias %[8]s/blobs/sha256/$1; add_header Docker-Content-Digest sha256:$1;
      default_type application/vnd.oci.image.manifest.v1+json;
    }
  }
}
`, dir, user, temp.String(), listen, certificate, repository, l.manifest, l.dir)
}

// freeAddress is a port of loopback on which nobody listens.
func freeAddress(ctx context.Context) (string, error) {
	listener, err := new(net.ListenConfig).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	return listener.Addr().String(), listener.Close()
}

// await returns when somebody listens at host.
func await(ctx context.Context, host string) error {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	for {
		conn, err := new(net.Dialer).DialContext(ctx, "tcp", host)
		if err == nil {
			return conn.Close()
		}
		select {
		case <-ctx.Done():
			return errors.Join(err, ctx.Err())
		case <-time.After(10 * time.Millisecond):
		}
	}
}
