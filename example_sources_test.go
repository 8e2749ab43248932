package mstore_test

import (
	"fmt"
	"log"
	"net/http"
	"net/http/httptest"
	"strings"

	"github.com/mstore/mstore"
	"github.com/mstore/mstore/internal/hubtest"
)

// A model of the Hugging Face Hub. Of weights that are there in several formats one is taken, and who wants less says so.
func ExampleStore_Pull_huggingFace() {
	hub := hubtest.Serve(hubtest.Options{}, hubtest.Repo{ID: "org/model", Files: []hubtest.File{
		hubtest.Text("README.md", "read me"), hubtest.Text("config.json", "{}"),
		hubtest.LFS("model.safetensors", "weights"), hubtest.LFS("pytorch_model.bin", "the same weights"),
	}})
	defer hub.Close()
	store, err := mstore.Open(newDir(), mstore.Options{
		Hub: mstore.HubOptions{Endpoint: hub.Endpoint}, // nobody needs to say the Hub's own
		Log: quiet().Log,
	})
	if err != nil {
		log.Fatal(err)
	}
	defer store.Close()

	for _, o := range []mstore.PullOptions{
		{},
		{As: "slim", Include: []string{"*.safetensors", "*.json"}},
	} {
		model, err := store.Pull(ctx, "hf://org/model", o)
		if err != nil {
			log.Fatal(err)
		}
		fmt.Println(model.Name)
		for _, f := range model.Files {
			fmt.Println("  ", f.Path)
		}
	}
	// Output:
	// hf.co/org/model:main
	//    README.md
	//    config.json
	//    model.safetensors
	// slim:latest
	//    config.json
	//    model.safetensors
}

// A quantisation of a repository of GGUF files, as `org/name:QUANT`.
func ExampleStore_Pull_quantisation() {
	hub := hubtest.Serve(hubtest.Options{}, hubtest.Repo{ID: "org/model-GGUF", Files: []hubtest.File{
		hubtest.LFS("model-Q4_K_M.gguf", "four bits"), hubtest.LFS("model-Q8_0.gguf", "eight bits"),
	}})
	defer hub.Close()
	store, err := mstore.Open(newDir(), mstore.Options{Hub: mstore.HubOptions{Endpoint: hub.Endpoint}})
	if err != nil {
		log.Fatal(err)
	}
	defer store.Close()

	model, err := store.Pull(ctx, "hf.co/org/model-GGUF:Q8_0", mstore.PullOptions{})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(model.Name, model.Files[0].Path)

	_, err = store.Pull(ctx, "hf.co/org/model-GGUF:Q2_K", mstore.PullOptions{})
	fmt.Println(mstore.ClassOf(err))
	fmt.Println(err)
	// Output:
	// hf.co/org/model-GGUF:Q8_0 model-Q8_0.gguf
	// not found
	// hf.co/org/model-GGUF: not found: it has no quantisation Q2_K; there are Q4_K_M, Q8_0
}

// A file at a URL, with the digest that it must have.
func ExampleStore_Pull_url() {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = w.Write([]byte("weights"))
	}))
	defer server.Close()
	store, err := mstore.Open(newDir(), mstore.Options{})
	if err != nil {
		log.Fatal(err)
	}
	defer store.Close()

	for _, sum := range []string{
		"9a129038d9a00aed0cf6a7ea059ca50a813449061ab87848cf1a13eafdf33b2c",
		"0000000000000000000000000000000000000000000000000000000000000000",
	} {
		model, err := store.Pull(ctx, server.URL+"/tiny.gguf#sha256="+sum, mstore.PullOptions{As: "tiny"})
		if err != nil {
			fmt.Println(mstore.ClassOf(err))
			continue
		}
		fmt.Println(model.Name, model.Files[0].Path, strings.HasSuffix(model.Files[0].Digest.String(), sum))
	}
	// Output:
	// tiny:latest tiny.gguf true
	// verification
}
