package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/mstore/mstore/internal/hubtest"
	"github.com/mstore/mstore/internal/ollamatest"
	"github.com/mstore/mstore/internal/registrytest"
)

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"mstore": main})
}

// TestScripts runs testdata/script: one file a behaviour, against the real command in processes of its own, and real
// registries. What the scripts can say beside the commands of testscript is written in script_commands_test.go.
func TestScripts(t *testing.T) {
	schemas := loadSchemas(t)
	registry := registrytest.Tool(t, "registry")
	model, err := filepath.Abs(filepath.Join("..", "..", "testdata", "tiny-llama"))
	if err != nil {
		t.Fatal(err)
	}
	t.Run("in", func(t *testing.T) { // ends when all scripts have, which run in parallel
		testscript.Run(t, testscript.Params{
			Dir:                 filepath.Join("testdata", "script"),
			RequireUniqueNames:  true,
			RequireExplicitExec: true,
			Condition:           condition,
			Setup: func(env *testscript.Env) error {
				env.Setenv("MSTORE_CACHE_DIR", filepath.Join(env.WorkDir, "store"))
				env.Setenv("DOCKER_CONFIG", filepath.Join(env.WorkDir, "docker"))
				env.Setenv("MODEL", model)
				env.Values[slowKey{}] = newSlow()
				env.Values[hubKey{}], env.Values[ollamaKey{}] = &holder[hubtest.Hub]{}, &holder[ollamatest.Registry]{}
				env.Values[webKey{}], env.Values[askedKey{}] = &website{content: gguf}, make(map[string]*counted)
				return os.MkdirAll(filepath.Join(env.WorkDir, "docker"), 0o700)
			},
			Cmds: map[string]func(*testscript.TestScript, bool, []string){
				"exits":     exits,
				"registry":  startRegistry(registry),
				"server":    startServer,
				"slow":      slow,
				"hub":       hub,
				"ollama":    ollama(t),
				"web":       web,
				"asked":     asked,
				"interrupt": interrupt,
				"schema":    schemas.command,
				"noise":     noise,
				"weights":   weights,
				"files":     files,
				"expand":    expand,
				"flip":      flip,
				"printable": printable,
				"onatty":    onTTY,
				"steady":    steady,
			},
		})
	})
	schemas.allWereUsed(t)
}

// condition knows what scripts may ask of the machine: to be root, and to mount a small file system.
func condition(name string) (bool, error) {
	switch name {
	case "root":
		return os.Geteuid() == 0, nil
	case "mount":
		return canMount(), nil
	}
	return false, fmt.Errorf("no such condition: %s", name)
}

// canMount tells whether this user may mount a tmpfs in a namespace of its own.
func canMount() bool {
	return exec.Command("unshare", "--map-root-user", "--mount", "mount", "-t", "tmpfs", "none", os.TempDir()).Run() == nil
}
