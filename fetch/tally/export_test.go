package tally

import "time"

// Rate is a smoothed speed.
type Rate struct{ r rate }

func (r *Rate) Add(n float64, d time.Duration) { r.r.add(n, d) }
func (r *Rate) Value() float64                 { return r.r.value() }
