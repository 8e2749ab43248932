package transfer_test

import (
	"io"
	"log"
	"testing"

	"go.uber.org/goleak"
)

// TestMain fails when a transfer or a server leaves a goroutine behind.
func TestMain(m *testing.M) {
	log.SetOutput(io.Discard) // what net/http says of servers that misbehave
	goleak.VerifyTestMain(m)
}
