package stats

// Bounded is a Log whose files have about most bytes.
func Bounded(dir, lock string, most int64) *Log { return &Log{dir: dir, lock: lock, most: most} }
