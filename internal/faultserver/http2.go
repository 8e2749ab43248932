package faultserver

import (
	"bytes"
	"errors"
	"io"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
)

const (
	frameSize  = 16 << 10 // of DATA: what every client takes
	initWindow = 65_535   // what a side may send before it hears anything
)

// errReset is that the client gave a stream up.
var errReset = errors.New("faultserver: the stream was reset")

// h2conn is a connection that speaks HTTP/2: one goroutine reads frames, one a stream writes.
type h2conn struct {
	s      *Server
	c      *conn
	out    net.Conn
	framer *http2.Framer

	write sync.Mutex // the framer's writing half, and the header table
	enc   *hpack.Encoder
	block bytes.Buffer

	mu      sync.Mutex // what follows
	more    *sync.Cond // a window grew, or something ended
	window  int64      // of the connection
	initial int64      // of a new stream
	streams map[uint32]*h2stream
	ended   bool
}

// h2stream is one request.
type h2stream struct {
	id     uint32
	h      *h2conn
	window int64
	reset  bool
	body   *io.PipeWriter // of the request; nil when it has none
}

func (s *Server) serveHTTP2(c *conn, over net.Conn) {
	preface := make([]byte, len(http2.ClientPreface))
	if _, err := io.ReadFull(over, preface); err != nil || string(preface) != http2.ClientPreface {
		return
	}
	h := &h2conn{
		s: s, c: c, out: over, framer: http2.NewFramer(over, over),
		window: initWindow, initial: initWindow, streams: make(map[uint32]*h2stream),
	}
	h.more = sync.NewCond(&h.mu)
	h.enc = hpack.NewEncoder(&h.block)
	h.framer.ReadMetaHeaders = hpack.NewDecoder(4096, nil)
	var streams sync.WaitGroup
	if h.framer.WriteSettings(h.settings()...) == nil {
		for h.next(&streams) == nil {
		}
	}
	h.mu.Lock()
	h.ended = true
	for _, st := range h.streams {
		st.cancel()
	}
	h.more.Broadcast()
	h.mu.Unlock()
	_ = c.Close()
	streams.Wait()
}

// settings are what a good server says at the beginning, or what a fault does.
func (h *h2conn) settings() []http2.Setting {
	good := []http2.Setting{{ID: http2.SettingMaxConcurrentStreams, Val: 250}, {ID: http2.SettingInitialWindowSize, Val: 1 << 20}}
	for i := range h.s.opts.Faults {
		if f := h.s.opts.Faults[i].Fault; len(f.settings) > 0 && h.s.meetsConn(i) {
			return f.settings
		}
	}
	return good
}

// next reads one frame and does what it says.
func (h *h2conn) next(streams *sync.WaitGroup) error {
	frame, err := h.framer.ReadFrame()
	if err != nil {
		return err
	}
	switch f := frame.(type) {
	case *http2.SettingsFrame:
		return h.hear(f)
	case *http2.PingFrame:
		if !f.IsAck() {
			h.write.Lock()
			defer h.write.Unlock()
			return h.framer.WritePing(true, f.Data)
		}
	case *http2.WindowUpdateFrame:
		h.grow(f)
	case *http2.RSTStreamFrame:
		h.mu.Lock()
		if st := h.streams[f.StreamID]; st != nil {
			st.cancel()
			h.more.Broadcast()
		}
		h.mu.Unlock()
	case *http2.DataFrame:
		return h.take(f)
	case *http2.MetaHeadersFrame:
		h.begin(f, streams)
	}
	return nil
}

// hear takes the client's settings.
func (h *h2conn) hear(f *http2.SettingsFrame) error {
	if f.IsAck() {
		return nil
	}
	h.mu.Lock()
	if v, ok := f.Value(http2.SettingInitialWindowSize); ok {
		for _, st := range h.streams {
			st.window += int64(v) - h.initial
		}
		h.initial = int64(v)
		h.more.Broadcast()
	}
	h.mu.Unlock()
	h.write.Lock()
	defer h.write.Unlock()
	return h.framer.WriteSettingsAck()
}

func (h *h2conn) grow(f *http2.WindowUpdateFrame) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if f.StreamID == 0 {
		h.window += int64(f.Increment)
	} else if st := h.streams[f.StreamID]; st != nil {
		st.window += int64(f.Increment)
	}
	h.more.Broadcast()
}

// take gives bytes of a request's body to who reads it, and the client its window back.
func (h *h2conn) take(f *http2.DataFrame) error {
	h.mu.Lock()
	st := h.streams[f.StreamID]
	h.mu.Unlock()
	if n := uint32(f.Length); n > 0 {
		h.write.Lock()
		err := errors.Join(h.framer.WriteWindowUpdate(0, n), h.framer.WriteWindowUpdate(f.StreamID, n))
		h.write.Unlock()
		if err != nil {
			return err
		}
	}
	if st == nil || st.body == nil {
		return nil
	}
	_, _ = st.body.Write(f.Data()) // who does not read on has closed it
	if f.StreamEnded() {
		_ = st.body.Close()
	}
	return nil
}

// begin answers a request in a goroutine of its own.
func (h *h2conn) begin(f *http2.MetaHeadersFrame, streams *sync.WaitGroup) {
	st := &h2stream{id: f.StreamID, h: h}
	req := request2(f)
	if !f.StreamEnded() {
		req.Body, st.body = io.Pipe()
	}
	h.mu.Lock()
	st.window = h.initial
	h.streams[st.id] = st
	h.mu.Unlock()
	streams.Go(func() {
		x := h.s.exchange(h.c, req)
		if !h.s.answer(x, &writer2{x: x, st: st}) {
			_ = h.c.Close()
		}
		_ = x.r.Body.Close()
		h.mu.Lock()
		delete(h.streams, st.id)
		h.mu.Unlock()
	})
}

// request2 is a request as net/http has it.
func request2(f *http2.MetaHeadersFrame) *http.Request {
	req := &http.Request{
		Method: f.PseudoValue("method"), Host: f.PseudoValue("authority"), Proto: "HTTP/2.0", ProtoMajor: 2,
		Header: make(http.Header), Body: http.NoBody, URL: &url.URL{},
	}
	if u, err := url.ParseRequestURI(f.PseudoValue("path")); err == nil {
		req.URL = u
	}
	for _, field := range f.RegularFields() {
		req.Header.Add(field.Name, field.Value)
	}
	return req
}

// cancel makes all writes of the stream fail. The caller holds h.mu.
func (st *h2stream) cancel() {
	st.reset = true
	if st.body != nil {
		_ = st.body.CloseWithError(errReset)
	}
}

// headers sends the status and header of a reply.
func (st *h2stream) headers(r *reply, end bool) error {
	h := st.h
	h.write.Lock()
	defer h.write.Unlock()
	h.block.Reset()
	fields := append([]field{{":status", strconv.Itoa(r.status)}}, r.header...)
	switch {
	case r.framing != withLength:
	case r.length != "":
		fields = append(fields, field{"content-length", r.length})
	default:
		fields = append(fields, field{"content-length", strconv.FormatInt(r.to-r.from, 10)})
	}
	for _, f := range fields {
		if err := h.enc.WriteField(hpack.HeaderField{Name: strings.ToLower(f.name), Value: f.value}); err != nil {
			return err
		}
	}
	return h.framer.WriteHeaders(http2.HeadersFrameParam{
		StreamID: st.id, BlockFragment: h.block.Bytes(), EndHeaders: true, EndStream: end,
	})
}

// Write sends DATA as far as the client's windows let it.
func (st *h2stream) Write(p []byte) (n int, err error) {
	for n < len(p) {
		size, err := st.allowed(min(len(p)-n, frameSize))
		if err != nil {
			return n, err
		}
		st.h.write.Lock()
		err = st.h.framer.WriteData(st.id, false, p[n:n+size])
		st.h.write.Unlock()
		if err != nil {
			return n, err
		}
		n += size
	}
	return n, nil
}

// allowed waits until at least a byte may be sent, and takes up to want of the windows.
func (st *h2stream) allowed(want int) (int, error) {
	h := st.h
	h.mu.Lock()
	defer h.mu.Unlock()
	for !h.ended && !st.reset && min(h.window, st.window) <= 0 {
		h.more.Wait()
	}
	if h.ended || st.reset {
		return 0, errReset
	}
	n := min(int64(want), h.window, st.window)
	h.window -= n
	st.window -= n
	return int(n), nil
}

// wait returns when the client gives the stream up.
func (st *h2stream) wait() {
	st.h.mu.Lock()
	defer st.h.mu.Unlock()
	for !st.h.ended && !st.reset {
		st.h.more.Wait()
	}
}
