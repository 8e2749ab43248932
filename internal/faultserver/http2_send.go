package faultserver

import "golang.org/x/net/http2"

// writer2 writes a reply as HTTP/2. What only HTTP/1.1 can get wrong (raw headers, framings) it leaves out, and a
// connection that is closed there is a stream that is reset here.
type writer2 struct {
	x  *exchange
	st *h2stream
}

// send tells whether the connection can carry other streams.
func (w *writer2) send(r *reply) bool {
	if w.x.frame != nil {
		r.stop = w.x.at
	}
	if r.before != nil {
		r.before(w.st)
	}
	if r.raw != "" {
		return w.finish(writer1{x: w.x, out: w.st}, r)
	}
	if r.bodyless || r.to == r.from && r.end == keepAlive && w.x.frame == nil && r.filter == nil {
		return w.st.headers(r, true) == nil
	}
	if w.st.headers(r, false) != nil {
		return false
	}
	h1 := writer1{x: w.x, out: w.st}
	plain := *r
	if plain.framing = untilClose; h1.body(&plain) != nil {
		return true // the client gave the stream up, or the connection ended by itself
	}
	return w.finish(h1, r)
}

func (w *writer2) finish(h1 writer1, r *reply) bool {
	h := w.st.h
	switch {
	case w.x.frame != nil:
		w.x.frame(h, w.st)
		return true
	case r.end == stall:
		w.st.wait()
		return true
	case r.end == drip || r.end == endless:
		h1.trickle(r)
	}
	h.write.Lock()
	defer h.write.Unlock()
	if r.end == fin || r.end == rst {
		return h.framer.WriteRSTStream(w.st.id, http2.ErrCodeInternal) == nil
	}
	return h.framer.WriteData(w.st.id, true, nil) == nil
}

func http2Faults() []Fault {
	return []Fault{
		{Case: 27, Name: "27 GOAWAY, and the streams go on", Where: OnHTTP2, Overcome: true, Passing: true, apply: goAwayFirst},
		{Case: 27, Name: "27 GOAWAY, and nothing goes on", Where: OnHTTP2, Passing: true, frames: func(h *h2conn, _ *h2stream) {
			h.write.Lock()
			_ = h.framer.WriteGoAway(0, http2.ErrCodeEnhanceYourCalm, []byte("\x1b[31mtoo many\r\n")) // closed next
			h.write.Unlock()
			_ = h.c.Close()
		}},
		{Case: 27, Name: "27 RST_STREAM midway", Where: OnHTTP2, Passing: true, frames: reset(http2.ErrCodeInternal)},
		{Case: 27, Name: "27 RST_STREAM that refuses", Where: OnHTTP2, Passing: true, frames: reset(http2.ErrCodeRefusedStream)},
		{Case: 27, Name: "27 no flow-control window", Where: OnHTTP2, Passing: true, Slow: true, frames: func(_ *h2conn, st *h2stream) {
			st.wait()
		}},
		{Case: 27, Name: "27 frames of no size", Where: OnHTTP2, Passing: true, settings: []http2.Setting{
			{ID: http2.SettingMaxFrameSize, Val: 0},
		}},
	}
}

func reset(code http2.ErrCode) func(*h2conn, *h2stream) {
	return func(h *h2conn, st *h2stream) {
		h.write.Lock()
		defer h.write.Unlock()
		_ = h.framer.WriteRSTStream(st.id, code) // a connection that is gone has no streams
	}
}

// goAwayFirst says that there will be no new streams, before the answer to an old one.
func goAwayFirst(_ *exchange, r *reply) {
	r.before = func(st *h2stream) {
		st.h.write.Lock()
		defer st.h.write.Unlock()
		_ = st.h.framer.WriteGoAway(st.id, http2.ErrCodeNo, nil) // as above
	}
}
