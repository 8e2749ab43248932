package mstore_test

import (
	"context"
	"fmt"
	"log"

	"github.com/mstore/mstore"
)

// A pull under way is watched, and cancelled; whoever has its id goes on with it, in this process or in another.
func ExampleStore_StartPull() {
	store, host := newStoreWith(), registryWith("org/started:v1")
	defer store.Close()

	pull, err := store.StartPull(ctx, host+"/org/started:v1", mstore.PullOptions{As: "llama"})
	if err != nil {
		log.Fatal(err)
	}
	defer pull.Cancel() // a pull that has ended does not mind
	model, err := pull.Wait(ctx)
	if err != nil {
		log.Fatal(err)
	}
	p := pull.Progress()
	fmt.Println(model.Name, p.State, p.Finished, "of", p.Files, "files, all bytes here:", p.Done == p.Total)
	// Output: llama:latest succeeded 10 of 10 files, all bytes here: true
}

// What was killed, cancelled or cut off is resumed by its id.
func ExampleStore_ResumePull() {
	store, host := newStoreWith(), registryWith("org/resumed:v1")
	defer store.Close()
	cut, cutOff := context.WithCancel(ctx)
	cutOff() // as if the process were told to end
	if _, err := store.Pull(cut, host+"/org/resumed:v1", mstore.PullOptions{As: "llama"}); err == nil {
		log.Fatal("it cannot have been pulled")
	}

	unfinished, err := store.Pulls()
	if err != nil {
		log.Fatal(err)
	}
	for _, p := range unfinished {
		if p.Running { // some process is at it
			continue
		}
		pull, err := store.ResumePull(ctx, p.ID)
		if err != nil {
			log.Fatal(err)
		}
		model, err := pull.Wait(ctx)
		if err != nil {
			log.Fatal(err)
		}
		fmt.Println(model.Name)
	}
	// Output: llama:latest
}

func ExampleStore_ForgetPull() {
	store := newStoreWith()
	defer store.Close()
	pull, err := store.StartPull(ctx, "127.0.0.1:9/nobody/answers:v1", mstore.PullOptions{Retries: -1})
	if err != nil {
		log.Fatal(err)
	}
	_, err = pull.Wait(ctx)
	fmt.Println(mstore.ClassOf(err))

	for range 2 {
		unfinished, err := store.Pulls()
		if err != nil {
			log.Fatal(err)
		}
		fmt.Println(len(unfinished), "to be resumed")
		if err := store.ForgetPull(pull.ID()); err != nil {
			log.Fatal(err)
		}
	}
	// Output:
	// network
	// 1 to be resumed
	// 0 to be resumed
}

// Several models are pulled a few at a time. Each is tried, and the outcomes come in the order of the requests.
func ExampleStore_PullAll() {
	store, host := newStoreWith(), registryWith("org/one:v1", "org/two:v1")
	defer store.Close()

	for o := range store.PullAll(ctx, []mstore.Request{
		{Reference: host + "/org/one:v1", PullOptions: mstore.PullOptions{As: "one"}},
		{Reference: host + "/org/none:v1"},
		{Reference: host + "/org/two:v1", PullOptions: mstore.PullOptions{As: "two", Priority: mstore.High}},
	}) {
		if o.Err != nil {
			fmt.Println(mstore.ClassOf(o.Err))
			continue
		}
		fmt.Println(o.Pulled.Name)
	}
	// Output:
	// one:latest
	// not found
	// two:latest
}
