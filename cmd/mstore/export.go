package main

import (
	"context"

	"github.com/opencontainers/go-digest"
	"github.com/urfave/cli/v2"

	"github.com/mstore/mstore"
	"github.com/mstore/mstore/export"
)

func (p *program) exportCommand() *cli.Command {
	return &cli.Command{
		Name: "export", Usage: "write a model's files into a folder, or add it to that of another tool", ArgsUsage: "NAME DIR",
		Description: `Prints the folder. Files that are there with the same bytes stay as they are; nothing else is overwritten.
The store's own bytes are taken as they are: to hash them again first, run verify NAME.
No file that can be written shares its bytes with the store.

With --layout DIR is a folder of models as another tool has it, new or in use, and the model is added:
  oci     an OCI image layout; the model's tag is its tag there
  hf      a Hugging Face cache: what HF_HUB_CACHE points to (in HF_HOME it is the folder hub)
  ollama  Ollama's models: what OLLAMA_MODELS points to; of a model that is not Ollama's, its one GGUF
          file, with a projector and the licences; its other files are left out
A name that is there already (a tag, a revision) is moved to the model. The name comes from the hub that
the model came from, else from its name in the store: mstore tag NAME org/name:tag gives it another.`,
		Flags: []cli.Flag{
			&cli.StringFlag{
				Name: "mode", Value: string(export.Auto),
				Usage: "how files get their bytes: `auto|reflink|hardlink|copy|symlink`",
			},
			&cli.StringFlag{
				Name: "layout", Value: string(export.LayoutFiles),
				Usage: "how the folder is laid out: `files|oci|hf|ollama`",
			},
		},
		Action: p.action(p.export),
	}
}

type exportedDoc struct {
	Name   string        `json:"name"`
	Digest digest.Digest `json:"digest"`
	Dir    string        `json:"dir"`
	Size   int64         `json:"size"`
	Files  []fileDoc     `json:"files"`
}

func (p *program) export(ctx context.Context, c *cli.Context) error {
	mode, err := choice(c, "mode", string(export.Auto), string(export.Reflink), string(export.Hardlink),
		string(export.Copy), string(export.Symlink))
	if err != nil {
		return err
	}
	layout, err := choice(c, "layout", string(export.LayoutFiles), string(export.LayoutOCI),
		string(export.LayoutHuggingFace), string(export.LayoutOllama))
	if err != nil {
		return err
	}
	opts := mstore.ExportOptions{Mode: export.Mode(mode), Layout: export.Layout(layout)}
	return p.withStore(c, func(s *mstore.Store) error {
		stop := p.follow("exporting")
		defer stop()
		r, err := s.Export(ctx, c.Args().Get(0), c.Args().Get(1), opts)
		if err != nil {
			return err
		}
		stop()
		return p.result(exportedDoc{r.Name, r.Digest, r.Dir, r.Size, filesOf(&r.Model)}, func() error {
			return p.print("%s", r.Dir)
		})
	})
}
