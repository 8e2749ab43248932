// Package manifest reads and builds the manifests of models, and says what they mean.
//
// Bytes go in, values come out: the package knows nothing of disks, networks, tags or paths of this machine, and every
// function of it is pure. [Parse] takes the manifests of five worlds (CNCF ModelPack, plain ORAS artifacts, Docker
// models, Ollama models, KitOps ModelKits) and of images, and answers one question for all of them: which files, by
// which names, with which digests. [Build] writes the one kind that is ours to write, a ModelPack of raw layers.
//
// Whatever is parsed came from a stranger. A manifest that two parsers could read in two ways is refused, and so is
// one whose file names could mean more than a file in a folder, on this system or another. What Parse lets through
// has safe names ([SafePath]) without collisions, sha256 digests in canonical form, and sizes that add up.
//
// Values of this package are not changed by it after they are returned; they may be read from several goroutines.
package manifest
