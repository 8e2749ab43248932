package registrytest_test

import (
	"net/http"
	"os/exec"
	"testing"

	"github.com/mstore/mstore/internal/registrytest"
)

func status(t *testing.T, host string) int {
	t.Helper()
	resp, err := http.Get("http://" + host + "/v2/")
	if err != nil {
		t.Fatal(err)
	}
	_ = resp.Body.Close()
	return resp.StatusCode
}

func TestKindsOfRegistry(t *testing.T) {
	for name, c := range map[string]struct {
		start func() *registrytest.Registry
		want  int
	}{
		"anonymous": {func() *registrytest.Registry { return registrytest.Start(t, registrytest.Options{}) }, 200},
		"read-only": {func() *registrytest.Registry { return registrytest.Start(t, registrytest.Options{ReadOnly: true}) }, 200},
		"basic":     {func() *registrytest.Registry { return registrytest.Start(t, registrytest.Options{Basic: true}) }, 401},
		"token":     {func() *registrytest.Registry { return registrytest.Start(t, registrytest.Options{Token: true}) }, 401},
		"crane":     {func() *registrytest.Registry { return registrytest.StartCrane(t) }, 200},
	} {
		t.Run(name, func(t *testing.T) {
			r := c.start()
			if got := status(t, r.Host); got != c.want {
				t.Errorf("/v2/ of %s = %d, want %d", r.Host, got, c.want)
			}
			r.Stop()
			r.Stop()
			if _, err := http.Get("http://" + r.Host + "/v2/"); err == nil {
				t.Error("the registry answers after it was stopped")
			}
		})
	}
}

func TestForeignClientsRun(t *testing.T) {
	for _, name := range []string{"oras", "crane"} {
		if out, err := exec.CommandContext(t.Context(), registrytest.Tool(t, name), "version").CombinedOutput(); err != nil {
			t.Errorf("%s version: %v\n%s", name, err, out)
		}
	}
}
