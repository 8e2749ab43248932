package manifest

import (
	"encoding/json"
	"fmt"
	"strings"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// Facts is what a model's config says of it, in its own words: nothing in it was verified, and it may hold any text.
// A fact that is not given is "".
type Facts struct {
	Name         string `json:"name,omitempty"`
	Title        string `json:"title,omitempty"`
	Description  string `json:"description,omitempty"`
	Version      string `json:"version,omitempty"`
	Revision     string `json:"revision,omitempty"`
	Vendor       string `json:"vendor,omitempty"`
	License      string `json:"license,omitempty"` // SPDX where the world asks for it; several are joined by ", "
	Source       string `json:"source,omitempty"`  // a URL
	Family       string `json:"family,omitempty"`
	Architecture string `json:"architecture,omitempty"` // of the model, as in "llama"
	Format       string `json:"format,omitempty"`       // as in "gguf"
	Parameters   string `json:"parameters,omitempty"`   // their number, as in "8B"
	Precision    string `json:"precision,omitempty"`
	Quantization string `json:"quantization,omitempty"`
}

// modelPackConfig is the part of application/vnd.cncf.model.config.v1+json that is read and written here.
type modelPackConfig struct {
	Descriptor struct {
		Family      string   `json:"family,omitempty"`
		Name        string   `json:"name,omitempty"`
		SourceURL   string   `json:"sourceURL,omitempty"`
		Version     string   `json:"version,omitempty"`
		Revision    string   `json:"revision,omitempty"`
		Vendor      string   `json:"vendor,omitempty"`
		Licenses    []string `json:"licenses,omitempty"`
		Title       string   `json:"title,omitempty"`
		Description string   `json:"description,omitempty"`
	} `json:"descriptor"`
	ModelFS struct {
		Type    string          `json:"type"`
		DiffIDs []digest.Digest `json:"diffIds"`
	} `json:"modelfs"`
	Config struct {
		Architecture string `json:"architecture,omitempty"`
		Format       string `json:"format,omitempty"`
		ParamSize    string `json:"paramSize,omitempty"`
		Precision    string `json:"precision,omitempty"`
		Quantization string `json:"quantization,omitempty"`
	} `json:"config"`
}

// modelPack is the config blob that says f. The layers are raw, so that their digests are their diffIds.
func (f Facts) modelPack(layers []ocispec.Descriptor) modelPackConfig {
	var c modelPackConfig
	d := &c.Descriptor
	d.Family, d.Name, d.SourceURL, d.Version, d.Revision = f.Family, f.Name, f.Source, f.Version, f.Revision
	d.Vendor, d.Title, d.Description = f.Vendor, f.Title, f.Description
	if f.License != "" {
		d.Licenses = strings.Split(f.License, ", ")
	}
	c.Config.Architecture, c.Config.Format, c.Config.ParamSize = f.Architecture, f.Format, f.Parameters
	c.Config.Precision, c.Config.Quantization = f.Precision, f.Quantization
	c.ModelFS.Type = "layers"
	for _, l := range layers {
		c.ModelFS.DiffIDs = append(c.ModelFS.DiffIDs, l.Digest)
	}
	return c
}

func (c *modelPackConfig) facts() Facts {
	d := &c.Descriptor
	return Facts{
		Name: d.Name, Title: d.Title, Description: d.Description, Version: d.Version, Revision: d.Revision, Vendor: d.Vendor,
		License: strings.Join(d.Licenses, ", "), Source: d.SourceURL, Family: d.Family, Architecture: c.Config.Architecture,
		Format: c.Config.Format, Parameters: c.Config.ParamSize, Precision: c.Config.Precision, Quantization: c.Config.Quantization,
	}
}

// dockerConfig is the part of application/vnd.docker.ai.model.config.v0.1+json and v0.2 that is read here. The spec
// puts what GGUF says below "gguf"; the runner writes it beside.
type dockerConfig struct {
	Config struct {
		Architecture string `json:"architecture"`
		Format       string `json:"format"`
		Parameters   string `json:"parameters"`
		Quantization string `json:"quantization"`
		GGUF         struct {
			Architecture string `json:"architecture"`
			Parameters   string `json:"parameter_count"`
			Quantization string `json:"quantization"`
		} `json:"gguf"`
	} `json:"config"`
}

func (c *dockerConfig) facts() Facts {
	g := c.Config.GGUF
	return Facts{
		Architecture: first(c.Config.Architecture, g.Architecture), Format: c.Config.Format,
		Parameters:   first(c.Config.Parameters, g.Parameters),
		Quantization: first(c.Config.Quantization, g.Quantization),
	}
}

// ollamaConfig is the part of Ollama's config that is read here. Its "architecture" is that of a CPU.
type ollamaConfig struct {
	Format   string `json:"model_format"`
	Family   string `json:"model_family"`
	Type     string `json:"model_type"`
	FileType string `json:"file_type"`
	Name     string `json:"base_name"`
}

func (c *ollamaConfig) facts() Facts {
	return Facts{Name: c.Name, Format: c.Format, Family: c.Family, Parameters: c.Type, Quantization: c.FileType}
}

// ReadConfig is what the config blob of m says of the model. Images and plain artifacts have configs of their own, which
// say nothing of models: their facts are empty. The error is [ErrMalformed].
func ReadConfig(m *Manifest, config []byte) (Facts, error) {
	var c interface{ facts() Facts }
	switch m.Kind {
	case KindModelPack:
		c = &modelPackConfig{}
	case KindDocker:
		c = &dockerConfig{}
	case KindOllama:
		c = &ollamaConfig{}
	case KindModelKit:
		c = &kitfile{}
	case KindArtifact, KindImage:
		return Facts{}, nil
	}
	if err := readConfig(config, c); err != nil {
		return Facts{}, err
	}
	return c.facts(), nil
}

func readConfig(config []byte, c any) error {
	if len(config) > MaxSize {
		return fmt.Errorf("%w: a config of %d bytes", ErrMalformed, len(config))
	}
	if err := json.Unmarshal(config, c); err != nil {
		return fmt.Errorf("%w: config: %w", ErrMalformed, err)
	}
	return nil
}

// first is the first of ss that is not empty.
func first(ss ...string) string {
	for _, s := range ss {
		if s != "" {
			return s
		}
	}
	return ""
}
