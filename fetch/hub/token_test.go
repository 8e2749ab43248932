package hub_test

import (
	"errors"
	"io/fs"
	"path/filepath"
	"strings"
	"testing"

	"github.com/mstore/mstore/fetch/hub"
)

func TestTokenFromEnv(t *testing.T) {
	broken := errors.New("broken")
	files := map[string]string{
		"/path": "of-path\n", "/hub/token": "of-hub\r\n", "/cache/huggingface/token": "of-cache",
		"/home/.cache/huggingface/token": "of-home\n", "/home/mine": "of-tilde",
	}
	readFile := func(path string) ([]byte, error) {
		path = filepath.ToSlash(path)
		if path == "/broken" {
			return nil, broken
		}
		if token, ok := files[path]; ok {
			return []byte(token), nil
		}
		return nil, fs.ErrNotExist
	}
	for name, c := range map[string]struct {
		env  string
		want string
		err  error
	}{
		"nothing":               {"", "", nil},
		"the home folder":       {"HOME=/home", "of-home", nil},
		"of Windows":            {"USERPROFILE=/home", "of-home", nil},
		"the cache":             {"HOME=/home XDG_CACHE_HOME=/cache", "of-cache", nil},
		"HF_HOME":               {"HOME=/home XDG_CACHE_HOME=/cache HF_HOME=/hub", "of-hub", nil},
		"HF_TOKEN_PATH":         {"HF_HOME=/hub HF_TOKEN_PATH=/path", "of-path", nil},
		"a path from home":      {"HOME=/home HF_TOKEN_PATH=~/mine", "of-tilde", nil},
		"no file":               {"HOME=/nobody", "", nil},
		"the first set wins":    {"HOME=/home HF_TOKEN_PATH=/none", "", nil},
		"the second variable":   {"HF_TOKEN_PATH=/path HUGGING_FACE_HUB_TOKEN=second", "second", nil},
		"the first variable":    {"HF_TOKEN=first HUGGING_FACE_HUB_TOKEN=second", "first", nil},
		"a file that is broken": {"HF_TOKEN_PATH=/broken", "", broken},
	} {
		t.Run(name, func(t *testing.T) {
			env := make(map[string]string)
			for pair := range strings.FieldsSeq(c.env) {
				k, v, _ := strings.Cut(pair, "=")
				env[k] = v
			}
			got, err := hub.TokenFromEnv(func(k string) string { return env[k] }, readFile)
			if got != c.want || !errors.Is(err, c.err) {
				t.Errorf("TokenFromEnv = %q, %v; want %q, %v", got, err, c.want, c.err)
			}
		})
	}
	padded := func(k string) string { return map[string]string{"HF_TOKEN": " hf_x\n"}[k] }
	if got, err := hub.TokenFromEnv(padded, readFile); got != "hf_x" || err != nil {
		t.Errorf("a padded token = %q, %v", got, err)
	}
}
