package main

import (
	"context"
	"os"
)

func main() {
	os.Exit(newProgram(os.Stdin, os.Stdout, os.Stderr).run(context.Background(), os.Args[1:]))
}
