package transfer_test

import (
	"math"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/mstore/mstore/fetch/transfer"
)

// TestConverges plays the search for the number of connections against hosts of every kind, with a tenth of noise.
func TestConverges(t *testing.T) {
	each := func(perConnection, total float64) func(int) float64 {
		return func(n int) float64 { return math.Min(total, float64(n)*perConnection) }
	}
	for name, c := range map[string]struct {
		latency     time.Duration
		speed       func(n int) float64
		refuses     int
		least, most int           // connections, once it has settled
		within      time.Duration // and by when
	}{
		"far, each connection helps":      {50 * time.Millisecond, each(25e6, math.Inf(1)), 0, 32, 32, 2 * time.Second},
		"far, up to ten help":             {50 * time.Millisecond, each(25e6, 250e6), 0, 8, 16, 8 * time.Second},
		"far, one is all it takes":        {50 * time.Millisecond, each(25e6, 25e6), 0, 1, 3, 8 * time.Second},
		"near, two saturate":              {500 * time.Microsecond, each(600e6, 1100e6), 0, 2, 4, 4 * time.Second},
		"near, each connection helps":     {500 * time.Microsecond, each(30e6, math.Inf(1)), 0, 32, 32, 4 * time.Second},
		"refused above four":              {20 * time.Millisecond, each(25e6, math.Inf(1)), 5, 4, 4, 2 * time.Second},
		"more than eight slow each other": {20 * time.Millisecond, func(n int) float64 { return 200e6 / math.Max(1, float64(n)/8) * math.Min(1, float64(n)/8) }, 0, 5, 12, 8 * time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			seed := rand.Uint64()
			rng := rand.New(rand.NewPCG(seed, 0))
			noisy := func(n int) float64 { return c.speed(n) * (0.95 + rng.Float64()/10) }
			limits := transfer.Climb(32, c.refuses, c.latency, time.Minute, noisy)
			within := 0
			settled := limits[c.within.Milliseconds()/100:]
			for _, n := range settled {
				if c.least <= n && n <= c.most {
					within++
				}
			}
			if share := float64(within) / float64(len(settled)); share < 0.85 {
				t.Errorf("seed %d: after %v it was within %d to %d for %.0f %% of the time: %v", seed, c.within, c.least, c.most, 100*share, limits[:120])
			}
		})
	}
}
