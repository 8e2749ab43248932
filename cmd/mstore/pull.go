package main

import (
	"context"
	"strings"

	"github.com/opencontainers/go-digest"
	"github.com/urfave/cli/v2"

	"github.com/mstore/mstore"
)

func (p *program) pullCommand() *cli.Command {
	return &cli.Command{
		Name: "pull", Usage: "fetch models into the store", ArgsUsage: "[REF...]",
		Description: `Prints name@digest of each model. What is in the store is not fetched again, and a pull that was
interrupted resumes. A model's name is its reference without the scheme, or what --as says; pulling the
name of a model in the store asks the place it came from for something newer.

Several are pulled a few at once, each is tried, and the outcomes come in the order in which they were
asked for. --from-file reads them from a file, or with - from standard input: a reference a line, which
may have --as, --digest, --platform, --include, --exclude, --priority and --to after it; a word that
begins with # ends the line.

A SIZE is a number of bytes or has a unit (10MB, 64MiB), a RATE is that of a second (50MB/s). A GLOB
without a slash is held against the last part of a path: *.gguf are all of them.`,
		Flags: append([]cli.Flag{
			&cli.StringFlag{Name: "as", Usage: "call the model `NAME` in the store"},
			&cli.StringFlag{Name: "digest", Usage: "fail unless the reference names this sha256 `DIGEST`"},
			&cli.StringFlag{Name: "platform", Usage: "choose `OS/ARCH` from an index (default: this machine)"},
			&cli.StringSliceFlag{Name: "include", Usage: "take the files that match `GLOB` and no others; may be repeated"},
			&cli.StringSliceFlag{Name: "exclude", Usage: "leave out the files that match `GLOB`; may be repeated"},
			&cli.StringFlag{Name: "to", Usage: "export the files to `DIR` when the model is here"},
			&cli.StringFlag{Name: fromFileName, Usage: "pull what `FILE` lists, too"},
			&cli.StringFlag{Name: "priority", Usage: "start and share the connections beside other pulls as `high|normal|low`", Value: string(mstore.Normal)},
			jobsFlag("of a model, fetch"), retriesFlag(), timeoutFlag(), plainHTTPFlag(), progressFlag(),
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
	To           string        `json:"to,omitempty"`
	Dropped      []string      `json:"dropped,omitempty"`
	OverBytes    int64         `json:"overBytes,omitempty"`
}

// failedDoc stands for a model that failed among the results of a command on several.
type failedDoc struct {
	Reference string `json:"reference"`
	Error     *fault `json:"error"`
}

func (p *program) pull(ctx context.Context, c *cli.Context) error {
	all, err := p.pullRequests(c)
	if err != nil {
		return err
	}
	return p.withStore(c, func(s *mstore.Store) error { return p.pullAll(ctx, s, all) })
}

// pullAll pulls several models with one progress, and prints what came of each in the order of the requests. On a
// terminal that comes after the progress, which it would tear apart.
func (p *program) pullAll(ctx context.Context, s *mstore.Store, all []mstore.Request) error {
	label := "pulling " + count(int64(len(all)), "model")
	if len(all) == 1 {
		label = "pulling " + all[0].Reference
	}
	stop := p.followAll(label, len(all))
	defer stop()
	_, terminal := isTerminal(p.out)
	late := terminal && p.progress == progressBars
	var kept []mstore.Outcome
	worst := exitDone
	for o := range s.PullAll(ctx, all) {
		if ctx.Err() != nil && o.Err != nil {
			return p.interrupted()
		}
		if late {
			kept = append(kept, o)
			continue
		}
		worst = max(worst, p.outcome(o, len(all) > 1))
	}
	stop()
	for _, o := range kept {
		worst = max(worst, p.outcome(o, len(all) > 1))
	}
	if worst != exitDone {
		return statusError(worst)
	}
	return nil
}

// outcome prints what came of one model, named where there are several, and gives the exit code for it.
func (p *program) outcome(o mstore.Outcome, several bool) int {
	var err error
	switch {
	case o.Err == nil && several:
		err = p.pulled(o.Pulled, clean(o.Pulled.Name)+": fetched")
	case o.Err == nil:
		err = p.pulled(o.Pulled, "fetched")
	default:
		err = p.failed(o.Reference, about("pull", o.Reference, o.Err))
	}
	p.report(err)
	return exitCode(err)
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
	if len(r.Dropped) > 0 {
		p.note("dropped to stay within the limits: %s", clean(strings.Join(r.Dropped, ", ")))
	}
	p.overQuota(r.Over)
	if r.To != "" && p.progress != progressJSON {
		p.note("exported to %s", clean(r.To))
	}
	doc := pulledDoc{
		Name: r.Name, Reference: r.Reference, Digest: r.Digest, Bytes: r.Size, BytesFetched: r.BytesFetched,
		BytesReused: r.BytesReused, Files: filesOf(&r.Model), Cached: r.Cached, Seconds: r.Elapsed.Seconds(),
		Retries: r.Retries, Source: sourceOf(&r.Model), To: r.To, Dropped: r.Dropped, OverBytes: r.Over,
	}
	return p.result(doc, func() error { return p.nameLine(r.Name, r.Digest) })
}
