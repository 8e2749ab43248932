package hub

import (
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"strings"
)

// TokenFromEnv finds the token that other clients of the hub use: HF_TOKEN, HUGGING_FACE_HUB_TOKEN, the file at
// HF_TOKEN_PATH, the file token in HF_HOME, else in huggingface below XDG_CACHE_HOME, else in .cache/huggingface below
// the home folder. The first that is set decides; a file that is not there is no token: "". getenv and readFile are
// os.Getenv and os.ReadFile.
func TokenFromEnv(getenv func(string) string, readFile func(string) ([]byte, error)) (string, error) {
	for _, name := range []string{"HF_TOKEN", "HUGGING_FACE_HUB_TOKEN"} {
		if token := strings.TrimSpace(getenv(name)); token != "" {
			return token, nil
		}
	}
	file := tokenFile(getenv)
	if file == "" {
		return "", nil
	}
	raw, err := readFile(file)
	if errors.Is(err, fs.ErrNotExist) {
		return "", nil
	}
	if err != nil {
		return "", fmt.Errorf("the token of the hub: %w", err)
	}
	return strings.TrimSpace(string(raw)), nil
}

// tokenFile is where a login leaves the token; "" where there is no home.
func tokenFile(getenv func(string) string) string {
	home := getenv("HOME")
	if home == "" {
		home = getenv("USERPROFILE")
	}
	expand := func(path string) string {
		if rest, ok := strings.CutPrefix(path, "~/"); ok && home != "" {
			return filepath.Join(home, rest)
		}
		return path
	}
	switch path, hub, cache := getenv("HF_TOKEN_PATH"), getenv("HF_HOME"), getenv("XDG_CACHE_HOME"); {
	case path != "":
		return expand(path)
	case hub != "":
		return filepath.Join(expand(hub), "token")
	case cache != "":
		return filepath.Join(expand(cache), "huggingface", "token")
	case home != "":
		return filepath.Join(home, ".cache", "huggingface", "token")
	}
	return ""
}
