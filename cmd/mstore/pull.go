package main

import (
	"context"

	"github.com/opencontainers/go-digest"
	"github.com/urfave/cli/v2"

	"github.com/mstore/mstore"
	"github.com/mstore/mstore/internal/key"
)

func (p *program) pullCommand() *cli.Command {
	return &cli.Command{
		Name: "pull", Usage: "fetch models into the store", ArgsUsage: "REF...",
		Description: `Prints name@digest of each model. What is in the store is not fetched again, and a pull that was
interrupted resumes. A model's name is its reference without the scheme, or what --as says; pulling the
name of a model in the store asks the place it came from for something newer.`,
		Flags: append([]cli.Flag{
			&cli.StringFlag{Name: "as", Usage: "call the model `NAME` in the store"},
			&cli.StringFlag{Name: "digest", Usage: "fail unless the reference names this sha256 `DIGEST`"},
			&cli.StringFlag{Name: "platform", Usage: "choose `OS/ARCH` from an index (default: this machine)"},
			&cli.StringSliceFlag{Name: "include", Usage: "take the files that match `GLOB` and no others; may be repeated"},
			&cli.StringSliceFlag{Name: "exclude", Usage: "leave out the files that match `GLOB`; may be repeated"},
			&cli.StringFlag{Name: "priority", Usage: "start and share the connections beside other pulls as `high|normal|low`", Value: string(mstore.Normal)},
			jobsFlag("fetch"), retriesFlag(), timeoutFlag(), plainHTTPFlag(), progressFlag(),
		}, limitFlags()...),
		Action: p.action(p.pull),
	}
}

// pulledDoc is the result of one pull or import; of one that failed, Error says why and the rest is left out.
type pulledDoc struct {
	Name         string        `json:"name"`
	Reference    string        `json:"reference"`
	Digest       digest.Digest `json:"digest"`
	Bytes        int64         `json:"bytes"`
	BytesFetched int64         `json:"bytesFetched"`
	BytesReused  int64         `json:"bytesReused"`
	Files        []fileDoc     `json:"files"`
	Cached       bool          `json:"cached"`
	FallbackFor  *string       `json:"fallbackFor"`
	Seconds      float64       `json:"seconds"`
	Retries      int           `json:"retries"`
	Source       *sourceDoc    `json:"source"`
}

// failedDoc stands for a model that failed among the results of a command on several.
type failedDoc struct {
	Reference string `json:"reference"`
	Error     *fault `json:"error"`
}

func (p *program) pull(ctx context.Context, c *cli.Context) error {
	opts, err := pullOptions(c)
	if err != nil {
		return err
	}
	return p.withStore(c, func(s *mstore.Store) error {
		return p.each(ctx, c.Args().Slice(), func(ref string) error {
			return p.pullOne(ctx, s, ref, opts)
		})
	})
}

func pullOptions(c *cli.Context) (mstore.PullOptions, error) {
	opts := mstore.PullOptions{
		As: c.String("as"), Platform: c.String("platform"), Jobs: c.Int("jobs"), Retries: retries(c),
		Timeout: c.Duration("timeout"), PlainHTTP: c.Bool("plain-http"),
		Include: c.StringSlice("include"), Exclude: c.StringSlice("exclude"),
	}
	priority, err := choice(c, "priority", string(mstore.High), string(mstore.Normal), string(mstore.Low))
	if err != nil {
		return opts, err
	}
	opts.Priority = mstore.Priority(priority)
	if c.Args().Len() > 1 {
		for _, flag := range []string{"as", "digest"} {
			if c.IsSet(flag) {
				return opts, usagef("--%s is for one model, not for %d", flag, c.Args().Len())
			}
		}
	}
	opts.Digest, err = digestFlag(c)
	return opts, err
}

// digestFlag is the value of --digest, or "".
func digestFlag(c *cli.Context) (digest.Digest, error) {
	if !c.IsSet("digest") {
		return "", nil
	}
	k, err := key.Parse(digest.Digest(c.String("digest")))
	if err != nil {
		return "", usagef("--digest wants sha256: and 64 hexadecimal digits, not %q", c.String("digest"))
	}
	return k.Digest(), nil
}

func (p *program) pullOne(ctx context.Context, s *mstore.Store, ref string, opts mstore.PullOptions) error {
	stop := p.follow("pulling " + ref)
	r, err := s.Pull(ctx, ref, opts)
	stop()
	if err != nil {
		return p.failed(ref, about("pull", ref, err))
	}
	return p.pulled(r, "fetched")
}

// pulled prints the result of a pull or an import.
func (p *program) pulled(r *mstore.Pulled, done string) error {
	switch {
	case p.progress == progressJSON:
	case r.Cached:
		p.note("%s is up to date (%s)", clean(r.Name), size(r.Size))
	default:
		p.note("%s", moved(done, r.BytesFetched, r.BytesReused, r.Elapsed))
	}
	doc := pulledDoc{
		Name: r.Name, Reference: r.Reference, Digest: r.Digest, Bytes: r.Size, BytesFetched: r.BytesFetched,
		BytesReused: r.BytesReused, Files: filesOf(&r.Model), Cached: r.Cached, Seconds: r.Elapsed.Seconds(),
		Retries: r.Retries, Source: sourceOf(&r.Model),
	}
	return p.result(doc, func() error { return p.nameLine(r.Name, r.Digest) })
}
