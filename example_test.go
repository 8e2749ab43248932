package mstore_test

import (
	"errors"
	"fmt"
	"log"
	"os"
	"path/filepath"

	"github.com/mstore/mstore"
)

// The five lines that a program needs: open a store, pull a model, and have a folder that a runtime can read.
func Example() {
	host := registryWith("org/tiny-llama:v1") // such as ghcr.io

	store, err := mstore.Open(newDir(), mstore.Options{})
	if err != nil {
		log.Fatal(err)
	}
	defer store.Close()
	model, err := store.Pull(ctx, host+"/org/tiny-llama:v1", mstore.PullOptions{})
	if err != nil {
		log.Fatal(err)
	}
	weights, err := store.Path(ctx, model.Name, "model.safetensors")
	if err != nil {
		log.Fatal(err)
	}
	info, err := os.Stat(weights)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Printf("%s has %d bytes\n", filepath.Base(weights), info.Size())
	// Output: model.safetensors has 262488 bytes
}

func ExampleOpen() {
	dir := newDir() // or what mstore.DefaultDir says

	store, err := mstore.Open(dir, mstore.Options{})
	if err != nil {
		log.Fatal(err)
	}
	defer store.Close()
	fmt.Println(store.Dir() == dir)
	// Output: true
}

func ExampleStore_Pull() {
	store, host := newStoreWith(), registryWith("org/pulled:v1")
	defer store.Close()

	for range 2 {
		model, err := store.Pull(ctx, host+"/org/pulled:v1", mstore.PullOptions{As: "llama"})
		if err != nil {
			log.Fatal(err)
		}
		fmt.Println(model.Name, len(model.Files), "files, cached:", model.Cached)
	}
	// Output:
	// llama:latest 10 files, cached: false
	// llama:latest 10 files, cached: true
}

// A digest says which model is wanted, whatever becomes of the tag.
func ExampleStore_Pull_digest() {
	store, host := newStoreWith("llama"), registryWith("org/pinned:v1")
	defer store.Close()
	known, err := store.Show(ctx, "llama")
	if err != nil {
		log.Fatal(err)
	}

	_, err = store.Pull(ctx, host+"/org/pinned:v1", mstore.PullOptions{Digest: known.Digest})
	fmt.Println("the model that was meant:", err == nil)

	_, err = store.Pull(ctx, host+"/org/pinned:v1", mstore.PullOptions{
		Digest: "sha256:0000000000000000000000000000000000000000000000000000000000000000",
	})
	fmt.Println("another:", mstore.ClassOf(err))
	// Output:
	// the model that was meant: true
	// another: verification
}

func ExampleStore_Push() {
	store, host := newStoreWith("llama"), registryWith()
	defer store.Close()

	for _, tag := range []string{"v1", "stable"} {
		pushed, err := store.Push(ctx, "llama", host+"/org/pushed:"+tag, mstore.PushOptions{})
		if err != nil {
			log.Fatal(err)
		}
		fmt.Println(tag, "- sent all:", pushed.BytesSent == pushed.Bytes, "- was all there:", pushed.BytesSkipped == pushed.Bytes)
	}
	// Output:
	// v1 - sent all: true - was all there: false
	// stable - sent all: false - was all there: true
}

func ExampleStore_Import() {
	store := newStoreWith()
	defer store.Close()

	model, err := store.Import(ctx, []string{"testdata/tiny-llama"}, "tiny-llama:v1", mstore.ImportOptions{})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(model.Name, model.Kind)
	for _, f := range model.Files {
		fmt.Println(f.Role, f.Path)
	}
	// Output:
	// tiny-llama:v1 modelpack
	// doc LICENSE
	// doc README.md
	// config chat_template.jinja
	// config config.json
	// config generation_config.json
	// weight model.safetensors
	// config original/params.json
	// config special_tokens_map.json
	// config tokenizer.json
	// config tokenizer_config.json
}

func ExampleStore_Export() {
	store := newStoreWith("llama")
	defer store.Close()

	out, err := store.Export(ctx, "llama", filepath.Join(newDir(), "out"), mstore.ExportOptions{})
	if err != nil {
		log.Fatal(err)
	}
	config, err := os.ReadFile(filepath.Join(out.Dir, "config.json"))
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(len(config), "bytes of config.json")
	// Output: 626 bytes of config.json
}

func ExampleStore_Path() {
	store := newStoreWith("llama")
	defer store.Close()

	folder, err := store.Path(ctx, "llama", "")
	if err != nil {
		log.Fatal(err)
	}
	file, err := store.Path(ctx, "llama", "tokenizer.json")
	if err != nil {
		log.Fatal(err)
	}
	inside, err := filepath.Rel(folder, file)
	fmt.Println(inside, err)
	// Output: tokenizer.json <nil>
}

// Use keeps a model from every collector until Release, also when its name is removed meanwhile.
func ExampleStore_Use() {
	store := newStoreWith("llama")
	defer store.Close()

	use, err := store.Use(ctx, "llama")
	if err != nil {
		log.Fatal(err)
	}
	defer use.Release()
	if _, err := store.Remove(ctx, "llama"); err != nil {
		log.Fatal(err)
	}
	if _, err := store.GC(ctx, mstore.GCOptions{}); err != nil {
		log.Fatal(err)
	}
	_, err = os.Stat(filepath.Join(use.Dir, "model.safetensors"))
	fmt.Println("still there:", err == nil)
	// Output: still there: true
}

func ExampleClassOf() {
	store := newStoreWith("llama")
	defer store.Close()

	_, err := store.Show(ctx, "lama")
	fmt.Println(err)
	fmt.Println("class:", mstore.ClassOf(err), "- not found:", errors.Is(err, mstore.ErrNotFound))
	fmt.Println("hint:", mstore.Hint(err))
	// Output:
	// no model named "lama" in the store
	// class: not found - not found: true
	// hint: `mstore list` shows what is in the store
}
