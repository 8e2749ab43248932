package gc

// The moments of a Plan or Run at which tests act.
const (
	Dropped = string(stepDropped)
	Held    = string(stepHeld)
	Read    = string(stepRead)
	Marked  = string(stepMarked)
	Moved   = string(stepMoved)
	Decided = string(stepDecided)
	Settled = string(stepSettled)
	Viewed  = string(stepViews)
)

// At has act called at each moment of c's plans and runs.
func At(c *Collector, act func(moment string)) { c.at = func(s step) { act(string(s)) } }
