package main

import (
	"context"

	"github.com/opencontainers/go-digest"
	"github.com/urfave/cli/v2"

	"github.com/mstore/mstore"
)

func (p *program) pushCommand() *cli.Command {
	return &cli.Command{
		Name: "push", Usage: "send a model to an OCI registry", ArgsUsage: "NAME REF",
		Description: `Prints REF@digest. Blobs that are there are not sent again, an upload that broke off goes on where the registry
can do that, and the manifest comes last: nobody sees the model before it is whole.`,
		Flags:  []cli.Flag{jobsFlag("send"), limitRateFlag(), retriesFlag(), timeoutFlag(), plainHTTPFlag()},
		Action: p.action(p.push),
	}
}

type pushedDoc struct {
	Name         string        `json:"name"`
	Reference    string        `json:"reference"`
	Digest       digest.Digest `json:"digest"`
	Bytes        int64         `json:"bytes"`
	BytesSent    int64         `json:"bytesSent"`
	BytesMounted int64         `json:"bytesMounted"`
	BytesSkipped int64         `json:"bytesSkipped"`
	Seconds      float64       `json:"seconds"`
	Retries      int           `json:"retries"`
}

func (p *program) push(ctx context.Context, c *cli.Context) error {
	name, ref := c.Args().Get(0), c.Args().Get(1)
	return p.withStore(c, func(s *mstore.Store) error {
		stop := p.follow("pushing " + name)
		r, err := s.Push(ctx, name, ref, mstore.PushOptions{
			Jobs: c.Int("jobs"), Retries: retries(c), Timeout: c.Duration("timeout"), PlainHTTP: c.Bool("plain-http"),
		})
		stop()
		if err != nil {
			return about("push "+name+" to", ref, err)
		}
		p.note("%s", moved("sent", r.BytesSent, r.BytesMounted+r.BytesSkipped, r.Elapsed))
		doc := pushedDoc{
			r.Name, r.Reference, r.Digest, r.Bytes, r.BytesSent, r.BytesMounted, r.BytesSkipped, r.Elapsed.Seconds(), r.Retries,
		}
		return p.result(doc, func() error { return p.print("%s", clean(r.Reference)) })
	})
}
