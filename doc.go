// Package mstore keeps AI models the way OCI keeps images: every file is a blob named by its sha256, a manifest lists a
// model's files, a tag names a manifest. A model is pulled from anywhere, once per machine, and no byte of it is ever
// taken for right without its digest.
//
//	store, err := mstore.Open(dir, mstore.Options{})
//	model, err := store.Pull(ctx, "ghcr.io/org/model:v1", mstore.PullOptions{})
//	path, err := store.Path(ctx, model.Name, "model.safetensors")
//
// A reference is host/repository:tag of an OCI registry, hf://org/name@revision or hf.co/org/name:quantisation of the
// Hugging Face Hub, ollama://name:tag, https://host/path/file, file:PATH, oci-layout:DIR:tag, or the name of a model in
// the store, which is asked for where it came from.
//
// Any number of processes may use one folder at once. Nothing that a tag names is removed; nothing that a pull under
// way relies on is swept; a process may be killed at any instant.
//
// The package wires the rooms of the module (blobstore, manifest, fetch, export, gc, quarantine) and adds the names a
// person types. It prints nothing: progress comes out through [Options].Events, the log through log/slog. It reads no
// flag, and of the environment only what others define: the proxy, the user's cache folder, docker's configuration, and
// what the Hub's own clients look for (see [HubOptions]).
package mstore
