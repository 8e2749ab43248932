package main

import (
	"context"
	"fmt"
	"strings"

	"github.com/opencontainers/go-digest"
	"github.com/urfave/cli/v2"

	"github.com/mstore/mstore"
)

func (p *program) verifyCommand() *cli.Command {
	return &cli.Command{
		Name: "verify", Usage: "read blobs and compare them with their digests", ArgsUsage: "[NAME...]",
		Description: `Without names, all that is in the store. Exit code 4 when something is bad and was not repaired.
With --file, an outside file is held against a model's file (NAME/FILE), against any file of a model
(NAME), or against --digest and --size.`,
		Flags: []cli.Flag{
			&cli.BoolFlag{Name: "repair", Usage: "fetch what is bad again, from where it came; clean up after killed processes"},
			&cli.StringFlag{Name: "file", Usage: "verify the file at `PATH`, outside of the store"},
			&cli.StringFlag{Name: "digest", Usage: "the sha256 `DIGEST` that the file must have"},
			&cli.Int64Flag{Name: "size", Usage: "the number of `BYTES` that the file must have", Value: -1},
		},
		Action: p.action(p.verify),
	}
}

type badDoc struct {
	Digest   digest.Digest `json:"digest,omitempty"`
	Name     string        `json:"name"`
	Names    []string      `json:"names"`
	Problem  string        `json:"problem"`
	Repaired bool          `json:"repaired"`
}

type verifiedDoc struct {
	Checked  int             `json:"checked"`
	Bytes    int64           `json:"bytes"`
	Bad      []badDoc        `json:"bad"`
	Repaired []digest.Digest `json:"repaired"`
	Foreign  []string        `json:"foreign"`
	Freed    int64           `json:"freedBytes"`
}

func (p *program) verify(ctx context.Context, c *cli.Context) error {
	if c.IsSet("file") {
		return p.verifyFile(ctx, c)
	}
	for _, flag := range []string{"digest", "size"} {
		if c.IsSet(flag) {
			return &usageError{
				text: fmt.Sprintf("--%s says what a file must be, and no file is named", flag),
				hint: "usage: mstore verify --file PATH --" + flag + " ...",
			}
		}
	}
	return p.withStore(c, func(s *mstore.Store) error {
		stop := p.follow("verifying")
		r, err := s.Verify(ctx, mstore.VerifyOptions{Names: c.Args().Slice(), Repair: c.Bool("repair")})
		stop()
		if r == nil {
			return err
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if e := p.result(verifiedDocOf(r), func() error { return p.verifyText(r) }); e != nil {
			return e
		}
		return verdict(r, err, c.Bool("repair"))
	})
}

func verifiedDocOf(r *mstore.VerifyReport) verifiedDoc {
	doc := verifiedDoc{
		Checked: r.Checked, Bytes: r.Bytes, Bad: make([]badDoc, 0, len(r.Bad)), Repaired: []digest.Digest{},
		Foreign: append([]string{}, r.Foreign...), Freed: r.FreedBytes,
	}
	for _, b := range r.Bad {
		bad := badDoc{Digest: b.Digest, Names: append([]string{}, b.Names...), Problem: b.Problem, Repaired: b.Repaired}
		if len(b.Names) > 0 {
			bad.Name = b.Names[0]
		}
		doc.Bad = append(doc.Bad, bad)
		if b.Repaired && b.Digest != "" {
			doc.Repaired = append(doc.Repaired, b.Digest)
		}
	}
	return doc
}

func (p *program) verifyText(r *mstore.VerifyReport) error {
	for _, b := range r.Bad {
		state := "bad"
		if b.Repaired {
			state = "repaired"
		}
		words := []string{state}
		if b.Digest != "" {
			words = append(words, b.Digest.String())
		}
		if len(b.Names) > 0 {
			words = append(words, "("+clean(strings.Join(b.Names, ", "))+")")
		}
		if err := p.print("%s: %s", strings.Join(words, " "), sentence(b.Problem)); err != nil {
			return err
		}
	}
	for _, path := range r.Foreign {
		p.note("%s is no blob and is left alone", clean(path))
	}
	if r.FreedBytes > 0 {
		p.note("freed %s that killed processes had left", size(r.FreedBytes))
	}
	outcome := "all good"
	switch left := len(r.Bad) - r.Repaired; {
	case left > 0:
		outcome = fmt.Sprintf("%d bad", left)
	case r.Repaired > 0:
		outcome = "all good now"
	}
	return p.print("checked %s, %s: %s", count(int64(r.Checked), "blob"), size(r.Bytes), outcome)
}

// verdict is the error of a verification in the words of the command.
func verdict(r *mstore.VerifyReport, err error, repaired bool) error {
	left := len(r.Bad) - r.Repaired
	if err == nil || left == 0 {
		return err
	}
	hint := "`mstore verify --repair` fetches what is bad again"
	if repaired {
		hint = "pull or import again what could not be repaired, or drop it with `mstore rm`"
	}
	text := fmt.Sprintf("%d things in the store are bad", left)
	if left == 1 {
		text = "1 thing in the store is bad"
	}
	return &advised{cause: err, text: text, hint: hint}
}
