package transfer

import (
	"sync"
	"time"
)

// meter counts the bytes of a run.
type meter struct {
	mu     sync.Mutex
	bytes  int64 // written
	wasted int64 // received in vain
	second int64 // which one it is, in Unix time
	now    int64 // bytes in it
	peak   int64
}

func (m *meter) add(written, wasted int) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.bytes += int64(written)
	m.wasted += int64(wasted)
	if second := time.Now().Unix(); second != m.second {
		m.peak, m.second, m.now = max(m.peak, m.now), second, 0
	}
	m.now += int64(written)
}

// best is how many bytes came in the best second.
func (m *meter) best() int64 {
	m.mu.Lock()
	defer m.mu.Unlock()
	return max(m.peak, m.now)
}
