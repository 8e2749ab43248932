package transfer

import "time"

// Climb plays a climber against a host that gives speed(n) bytes a second to n connections, for a while, and gives the
// limits that it had, ten a second. refuses, when more than 0, is from how many connections on a range is refused.
func Climb(most, refuses int, latency, while time.Duration, speed func(n int) float64) (limits []int) {
	const tick = 10 * time.Millisecond
	c := newClimber(most, false)
	now := time.Unix(0, 0)
	c.answered(latency)
	for end := now.Add(while); now.Before(end); now = now.Add(tick) {
		if refuses > 0 && c.limit >= refuses {
			c.refuse(now, refuses-1)
		}
		c.note(now, int(speed(c.limit)*tick.Seconds()), c.limit)
		if now.UnixMilli()%100 == 0 {
			limits = append(limits, c.limit)
		}
	}
	return limits
}

// Limit is how many ranges may be under way at a host now.
func (e *Engine) Limit(host string) int {
	limit, _, _ := e.lane(host).state()
	return limit
}
