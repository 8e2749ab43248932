package mstore_test

import (
	"context"
	"log"
	"os"

	"github.com/mstore/mstore"
)

// What examples begin with. All of it is removed when the tests have ended.

var ctx = context.Background()

// newDir is a fresh folder.
func newDir() string {
	dir, err := os.MkdirTemp(fixtures.dir, "example-")
	if err != nil {
		log.Fatal(err)
	}
	return dir + "/store"
}

// newStoreWith is a store that has the same small model under each of the names.
func newStoreWith(names ...string) *mstore.Store {
	store, err := mstore.Open(newDir(), mstore.Options{})
	if err != nil {
		log.Fatal(err)
	}
	for _, name := range names {
		if _, err := store.Import(ctx, []string{tinyLlama}, name, mstore.ImportOptions{}); err != nil {
			log.Fatal(err)
		}
	}
	return store
}

// registryWith is the host of a registry that has the small model under each of the names.
func registryWith(names ...string) string {
	store := newStoreWith("llama")
	defer store.Close()
	for _, name := range names {
		if _, err := store.Push(ctx, "llama", fixtures.registry()+"/"+name, mstore.PushOptions{}); err != nil {
			log.Fatal(err)
		}
	}
	return fixtures.registry()
}
