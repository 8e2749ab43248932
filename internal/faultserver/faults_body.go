package faultserver

import "strings"

// extra is how much too long a body is.
const extra = 1 << 20

// bodyFaults end a body wrongly (8 to 11). The bytes before the offset are right.
func bodyFaults() []Fault {
	all := []Fault{
		{Case: 8, Name: "8 body shorter than Content-Length", Passing: true, apply: func(x *exchange, r *reply) { r.breakOff(x.at, fin) }},
		{Case: 8, Name: "8 206 shorter than its Content-Range, and says so", ranged: true, Passing: true, apply: shortened},
		{Case: 9, Name: "9 chunked body closed early", Passing: true, apply: func(x *exchange, r *reply) {
			r.framing = chunked
			r.breakOff(x.at, fin)
		}},
		{Case: 9, Name: "9 chunk size that overflows", Passing: true, apply: chunkSize("ffffffffffffffffff")},
		{Case: 9, Name: "9 chunk size that is negative", Passing: true, apply: chunkSize("-5")},
		{Case: 9, Name: "9 chunk size that is no number", Passing: true, apply: chunkSize("many")},
		{Case: 10, Name: "10 no length, closed early", Passing: true, apply: func(x *exchange, r *reply) {
			r.framing = untilClose
			r.breakOff(x.at, fin)
		}},
		{Case: 10, Name: "10 no length, closed when done", Overcome: true, Passing: true, apply: func(_ *exchange, r *reply) {
			r.framing, r.end = untilClose, fin
		}},
		{Case: 11, Name: "11 longer than Content-Length", Overcome: true, Passing: true, apply: func(_ *exchange, r *reply) {
			r.length = itoa(r.to - r.from)
			r.suffix, r.end = strings.Repeat("x", extra), fin
		}},
		{Case: 11, Name: "11 no length, and longer than asked for", Overcome: true, Passing: true, apply: func(_ *exchange, r *reply) {
			r.framing = untilClose
			r.suffix, r.end = strings.Repeat("x", extra), fin
		}},
		{Case: 11, Name: "11 Content-Length longer than asked for", Overcome: true, Passing: true, apply: func(_ *exchange, r *reply) {
			r.suffix = strings.Repeat("x", extra)
			r.length = itoa(r.to - r.from + extra)
		}},
		{Case: 11, Name: "11 range longer than asked for", ranged: true, Overcome: true, Passing: true, apply: longer},
		{Case: 11, Name: "11 no length, and no end", Overcome: true, Passing: true, apply: func(_ *exchange, r *reply) {
			r.framing, r.end = untilClose, endless
		}},
		{Case: 11, Name: "11 chunked, and no end", Overcome: true, Passing: true, apply: func(_ *exchange, r *reply) {
			r.framing, r.end = chunked, endless
		}},
	}
	for i := range all {
		all[i].Where = OnBlob
	}
	return all
}

// shortened answers a range with less of it; every header agrees. A client just has to ask for the rest.
func shortened(x *exchange, r *reply) {
	to := max(x.at, r.from+1) // a range has a byte
	r.fill(r.data, r.from, min(to, r.to))
	r.set("Content-Range", contentRange(r.from, r.to, x.blob.Size))
}

func longer(x *exchange, r *reply) {
	r.fill(r.data, r.from, x.blob.Size)
	r.set("Content-Range", contentRange(r.from, r.to, x.blob.Size))
}

// chunkSize ends a chunked body with a size that is none.
func chunkSize(size string) func(*exchange, *reply) {
	return func(x *exchange, r *reply) {
		r.framing = chunked
		r.breakOff(x.at, fin)
		r.trailer = size + "\r\n"
	}
}

// timeFaults take too long (12, 13).
func timeFaults() []Fault {
	return []Fault{
		{Case: 12, Name: "12 silence before the header", Where: OnBlob, Passing: true, Slow: true, apply: func(_ *exchange, r *reply) {
			r.raw, r.end = silence, stall
		}},
		{Case: 12, Name: "12 silence in the header", Where: OnBlob, Passing: true, Slow: true, apply: func(_ *exchange, r *reply) {
			r.raw, r.end = "HTTP/1.1 200 OK\r\nContent-Le", stall
			r.stop = r.from
		}},
		{Case: 12, Name: "12 silence after the header", Where: OnBlob, Passing: true, Slow: true, apply: func(_ *exchange, r *reply) {
			r.breakOff(r.from, stall)
		}},
		{Case: 12, Name: "12 silence midway", Where: OnBlob, Passing: true, Slow: true, apply: func(x *exchange, r *reply) {
			r.breakOff(x.at, stall)
		}},
		{Case: 13, Name: "13 a byte now and then", Where: OnBlob, Passing: true, Slow: true, apply: func(x *exchange, r *reply) {
			r.breakOff(x.at, drip)
			r.every = x.inj.Every
			if r.every <= 0 {
				r.every = dripEvery
			}
		}},
	}
}

// connectionFaults end the connection (26).
func connectionFaults() []Fault {
	return []Fault{
		{Case: 26, Name: "26 RST midway", Where: OnBlob, Passing: true, apply: func(x *exchange, r *reply) { r.breakOff(x.at, rst) }},
		{Case: 26, Name: "26 RST after the last byte", Where: OnBlob, Passing: true, apply: func(_ *exchange, r *reply) { r.end = rst }},
		{Case: 26, Name: "26 FIN without data", Where: OnBlob, Passing: true, apply: func(_ *exchange, r *reply) { r.raw, r.end = silence, fin }},
		{Case: 26, Name: "26 RST without data", Where: OnBlob, Passing: true, apply: func(_ *exchange, r *reply) { r.raw, r.end = silence, rst }},
		{Case: 26, Name: "26 kept-alive connection that is closed", Where: OnBlob, Overcome: true, Passing: true, apply: func(_ *exchange, r *reply) {
			r.hangUp = true
		}},
	}
}

// bitFaults send wrong bytes of the right length (28, 29).
func bitFaults() []Fault {
	flip := func(x *exchange, r *reply) { r.flip = x.at }
	return []Fault{
		{Case: 28, Name: "28 one bit wrong", Where: OnBlob, Passing: true, apply: flip},
		{Case: 29, Name: "29 one bit wrong in what is resumed", Where: OnBlob, Passing: true, ranged: true, apply: flip, on: func(x *exchange) bool {
			return x.entry.Range.From > 0
		}},
	}
}
