// Command tinymodel makes the small model in testdata/tiny-llama: a true llama with two layers and random weights,
// with all the files that a published model has. It says nothing sensible, but what loads a llama loads it.
//
// Every run on every machine gives the same bytes. The committed model is this program's output, and a test holds it to that.
package main

import (
	"bytes"
	"embed"
	"encoding/json"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path"
	"slices"
)

//go:generate go run . ../../testdata/tiny-llama

// texts are the model's files that need no making.
//
//go:embed files
var texts embed.FS

func main() {
	const usage = 2
	if len(os.Args) != usage {
		fmt.Fprintln(os.Stderr, "usage: tinymodel DIR")
		os.Exit(usage)
	}
	if err := write(os.Args[1]); err != nil {
		fmt.Fprintln(os.Stderr, "tinymodel:", err)
		os.Exit(1)
	}
}

// write makes the model's files in dir, which it creates. What is there under the same names is replaced.
func write(dir string) error {
	files, err := model()
	if err != nil {
		return err
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		return err
	}
	defer func() { _ = root.Close() }()
	for _, name := range slices.Sorted(maps.Keys(files)) {
		if err := root.MkdirAll(path.Dir(name), 0o755); err != nil {
			return err
		}
		if err := root.WriteFile(name, files[name], 0o644); err != nil {
			return err
		}
	}
	return nil
}

// model is every file of the model, by its slash-separated path.
func model() (map[string][]byte, error) {
	files := map[string][]byte{}
	for name, value := range map[string]any{
		"config.json":             newConfig(),
		"generation_config.json":  newGeneration(),
		"tokenizer.json":          newTokenizer(),
		"tokenizer_config.json":   newTokenizerConfig(),
		"special_tokens_map.json": newSpecialTokens(),
		"original/params.json":    newParams(),
	} {
		text, err := pretty(value)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		files[name] = text
	}
	weights, err := safetensors(tensors())
	if err != nil {
		return nil, err
	}
	files["model.safetensors"] = weights
	return files, addTexts(files)
}

func addTexts(files map[string][]byte) error {
	const dir = "files"
	return fs.WalkDir(texts, dir, func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		text, err := texts.ReadFile(name)
		files[name[len(dir)+1:]] = text
		return err
	})
}

// pretty is v as JSON the way people publish it: indented, with < and > as they are.
func pretty(v any) ([]byte, error) {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	err := enc.Encode(v)
	return b.Bytes(), err
}
