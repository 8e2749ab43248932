package mstore_test

import (
	"errors"
	"fmt"
	"log"
	"path/filepath"
	"sync/atomic"

	"github.com/mstore/mstore"
	"github.com/mstore/mstore/fetch"
)

func ExampleStore_Show() {
	store := newStoreWith("llama")
	defer store.Close()

	model, err := store.Show(ctx, "llama")
	if err != nil {
		log.Fatal(err)
	}
	for _, f := range model.Files {
		if f.Format == "safetensors" {
			fmt.Println(f.Path, f.Size, f.Digest)
		}
	}
	// Output: model.safetensors 262488 sha256:109c62b0b0eb9278bb93a20edd946dba30e7e2e605b3c72cc29391f81fbcfdaf
}

func ExampleStore_Has() {
	store := newStoreWith("llama")
	defer store.Close()

	for _, name := range []string{"llama", "llama:v2"} {
		has, err := store.Has(ctx, name)
		fmt.Println(name, has, err)
	}
	// Output:
	// llama true <nil>
	// llama:v2 false <nil>
}

func ExampleStore_List() {
	store := newStoreWith("llama:v1", "llama:v2", "Org/other")
	defer store.Close()

	models, err := store.List(ctx)
	if err != nil {
		log.Fatal(err)
	}
	for _, m := range models {
		fmt.Println(m.Name, m.Count, "files")
	}
	// Output:
	// Org/other:latest 10 files
	// llama:v1 10 files
	// llama:v2 10 files
}

func ExampleStore_Tag() {
	store := newStoreWith("llama:v1")
	defer store.Close()

	model, err := store.Tag(ctx, "llama:v1", "llama:stable")
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(model.Name)
	// Output: llama:stable
}

func ExampleStore_Remove() {
	store := newStoreWith("llama")
	defer store.Close()

	gone, err := store.Remove(ctx, "llama")
	if err != nil {
		log.Fatal(err)
	}
	freed, err := store.GC(ctx, mstore.GCOptions{})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(gone.Name, "is gone, and its bytes:", freed.FreedBytes == gone.Size)
	// Output: llama:latest is gone, and its bytes: true
}

func ExampleStore_Pin() {
	store := newStoreWith("dear", "other")
	defer store.Close()

	if err := store.Pin(ctx, "dear"); err != nil {
		log.Fatal(err)
	}
	done, err := store.GC(ctx, mstore.GCOptions{All: true})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println("dropped:", done.Dropped)
	// Output: dropped: [other:latest]
}

func ExampleStore_Unpin() {
	store := newStoreWith("llama")
	defer store.Close()
	if err := store.Pin(ctx, "llama"); err != nil {
		log.Fatal(err)
	}

	_, err := store.Remove(ctx, "llama")
	fmt.Println("pinned:", mstore.ClassOf(err))
	if err := store.Unpin(ctx, "llama"); err != nil {
		log.Fatal(err)
	}
	_, err = store.Remove(ctx, "llama")
	fmt.Println("unpinned:", err)
	// Output:
	// pinned: usage
	// unpinned: <nil>
}

// A dry run shows the plan that the run would execute.
func ExampleStore_GC() {
	store := newStoreWith("llama")
	defer store.Close()

	plan, err := store.GC(ctx, mstore.GCOptions{All: true, DryRun: true})
	if err != nil {
		log.Fatal(err)
	}
	done, err := store.GC(ctx, mstore.GCOptions{All: true})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(plan.Dropped, done.Dropped, plan.FreedBytes == done.FreedBytes)
	// Output: [llama:latest] [llama:latest] true
}

func ExampleStore_Verify() {
	store := newStoreWith("llama")
	defer store.Close()

	report, err := store.Verify(ctx, mstore.VerifyOptions{Repair: true})
	if report == nil { // it could not be done
		log.Fatal(err)
	}
	for _, bad := range report.Bad {
		fmt.Println(bad.Digest, bad.Problem, bad.Repaired)
	}
	fmt.Println(report.Checked, "blobs read,", len(report.Bad), "bad")
	// Output: 12 blobs read, 0 bad
}

// A file that came another way is held against what the store knows of the model.
func ExampleStore_VerifyFile() {
	store := newStoreWith("llama")
	defer store.Close()

	for _, file := range []string{"config.json", "README.md"} {
		err := store.VerifyFile(ctx, filepath.Join("testdata/tiny-llama", file), mstore.FileWant{Name: "llama/config.json"})
		fmt.Println(file, "is another file:", errors.Is(err, mstore.ErrVerification))
	}
	// Output:
	// config.json is another file: false
	// README.md is another file: true
}

// Events tell how far a pull has come, file by file. They come from several goroutines at once.
func ExampleOptions_events() {
	host := registryWith("org/events:v1")

	var total, files atomic.Int64
	store, err := mstore.Open(newDir(), mstore.Options{Events: func(e mstore.Event) {
		switch e.Kind {
		case fetch.Resolved:
			total.Store(e.Size)
		case fetch.Progress: // e.Done of e.Size bytes of e.Path are here
		case fetch.Done:
			files.Add(1)
		}
	}})
	if err != nil {
		log.Fatal(err)
	}
	defer store.Close()
	model, err := store.Pull(ctx, host+"/org/events:v1", mstore.PullOptions{})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(total.Load() == model.Size, files.Load() >= int64(model.Count))
	// Output: true true
}
