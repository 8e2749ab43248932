package manifest

import (
	"path"
	"strings"
)

// guessRole tells by its name what a file of a model is for. What nothing is known of is a document.
func guessRole(name string) Role {
	base := strings.ToLower(path.Base(name))
	stem, _, _ := strings.Cut(base, ".")
	switch stem {
	case "license", "licence", "copying", "notice":
		return RoleLicense
	case "readme", "changelog", "authors", "contributing", "use_policy", "model_card":
		return RoleDoc
	case "tokenizer", "vocab", "merges", "config", "special_tokens_map", "added_tokens", "requirements", "modelfile":
		return RoleConfig
	}
	if role, ok := rolesByExtension(path.Ext(base)); ok {
		return role
	}
	return RoleDoc
}

func rolesByExtension(ext string) (Role, bool) {
	switch ext {
	case ".gguf", ".ggml", ".safetensors", ".bin", ".pt", ".pth", ".pkl", ".pickle", ".ckpt", ".onnx", ".onnx_data",
		".h5", ".hdf5", ".keras", ".tflite", ".pb", ".mlmodel", ".npz", ".npy", ".msgpack", ".joblib", ".dduf", ".llamafile",
		".engine", ".pte", ".nemo", ".tensors", ".weights", ".data", ".index":
		return RoleWeight, true
	case ".json", ".jinja", ".model", ".yaml", ".yml", ".toml", ".ini", ".cfg", ".vocab", ".bpe", ".tiktoken", ".template",
		".pbtxt", ".spm", ".xml":
		return RoleConfig, true
	case ".py", ".ipynb", ".sh", ".js", ".ts", ".go", ".rs", ".c", ".cc", ".cpp", ".h", ".hpp", ".cu", ".java", ".swift",
		".lua", ".rb", ".ps1", ".bat", ".so", ".dll", ".dylib", ".exe", ".jar", ".wasm":
		return RoleCode, true
	case ".csv", ".tsv", ".jsonl", ".ndjson", ".parquet", ".arrow", ".feather", ".wav", ".mp3", ".flac", ".mp4":
		return RoleDataset, true
	}
	return "", false
}

// modelPackSort is the part of a ModelPack media type that stands for role.
func modelPackSort(role Role) (string, bool) {
	switch role {
	case RoleWeight, RoleAdapter, RoleProjector:
		return "weight", true
	case RoleConfig, RoleTemplate, RoleSystem, RolePrompt, RoleParams, RoleMessages:
		return "weight.config", true
	case RoleDoc, RoleLicense:
		return "doc", true
	case RoleCode:
		return "code", true
	case RoleDataset:
		return "dataset", true
	}
	return "", false
}
