package main

import (
	"context"
	"runtime"
	"runtime/debug"

	"github.com/urfave/cli/v2"
)

// version is the release; the linker sets it (see the Makefile).
var version string

func (p *program) versionCommand() *cli.Command {
	return &cli.Command{
		Name: versionName, Usage: "print the version",
		Action: p.action(func(context.Context, *cli.Context) error { return p.version() }),
	}
}

type versionDoc struct {
	Version string `json:"version"`
	Go      string `json:"go"`
	OS      string `json:"os"`
	Arch    string `json:"arch"`
}

func (p *program) version() error {
	doc := versionDoc{buildVersion(), runtime.Version(), runtime.GOOS, runtime.GOARCH}
	return p.result(doc, func() error {
		return p.print("mstore %s (%s, %s/%s)", doc.Version, doc.Go, doc.OS, doc.Arch)
	})
}

// buildVersion is the version that the linker was told, else that of the module.
func buildVersion() string {
	if version != "" {
		return version
	}
	if info, ok := debug.ReadBuildInfo(); ok && info.Main.Version != "" {
		return info.Main.Version
	}
	return "(devel)"
}
