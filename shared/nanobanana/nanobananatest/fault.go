package nanobananatest

import (
	"bytes"
	"cmp"
	"compress/gzip"
	"net"
	"net/http"
	"strconv"
	"sync"
	"time"
)

// reply is the proper answer, before a fault changes it.
type reply struct {
	status      int
	contentType string
	body        []byte
}

func success(body []byte) reply { return reply{http.StatusOK, "application/json", body} }

// refuse returns an error in the vendor's envelope, with the HTTP status that the knobs say.
func (s *Server) refuse(code int, message string) reply {
	status := code
	if s.Knobs().ErrorsInBody {
		status = http.StatusOK
	}
	return refusal(status, code, message)
}

func refusal(status, code int, message string) reply {
	return reply{status, "application/json", fill("refusal", fields{"code": code, "msg": message})}
}

// notFound is the answer of a web server that does not know the vendor's envelope.
var notFound = reply{http.StatusNotFound, "text/plain; charset=utf-8", []byte("404 page not found\n")}

func (p reply) write(w http.ResponseWriter) {
	w.Header().Set("Content-Type", p.contentType)
	w.Header().Set("Content-Length", strconv.Itoa(len(p.body)))
	w.WriteHeader(p.status)
	_, _ = w.Write(p.body)
}

// answer writes the proper answer, or the fault's version of it.
func (s *Server) answer(w http.ResponseWriter, r *http.Request, f Fault, proper reply) {
	switch f.Kind {
	case FaultStatus, FaultCode, FaultRaw:
		f.write(w)
	case FaultHTML:
		reply{http.StatusOK, "text/html", []byte("<!DOCTYPE html><title>One moment</title><p>Checking your browser.")}.write(w)
	case FaultTruncated:
		proper.body = proper.body[:len(proper.body)/2]
		proper.write(w)
	case FaultCut:
		whole := len(proper.body)
		w.Header().Set("Content-Type", proper.contentType)
		w.Header().Set("Content-Length", strconv.Itoa(whole))
		w.WriteHeader(proper.status)
		_, _ = w.Write(proper.body[:whole/2])
		_ = http.NewResponseController(w).Flush() // only flushed bytes are sent before the abort
		panic(http.ErrAbortHandler)
	case FaultEmpty:
		reply{http.StatusOK, proper.contentType, nil}.write(w)
	case FaultNoTaskID:
		success(fill("submit-generate", fields{"data": nil})).write(w)
	case FaultReset, FaultClose:
		hangUp(w, f.Kind == FaultReset)
	case FaultHang:
		s.hold(r)
		panic(http.ErrAbortHandler)
	case FaultRedirect:
		w.Header().Set("Location", f.Target)
		w.WriteHeader(http.StatusTemporaryRedirect)
	case FaultSlow:
		s.drip(w, r, proper)
	case FaultEndless:
		s.pour(w, proper, make([]byte, 64<<10))
	case FaultGzipBomb:
		w.Header().Set("Content-Encoding", "gzip")
		proper.body = pack(proper.body)
		s.pour(w, proper, bomb())
	default:
		proper.write(w)
	}
}

// write writes the answer of FaultStatus, FaultCode and FaultRaw.
func (f Fault) write(w http.ResponseWriter) {
	if f.RetryAfter > 0 {
		w.Header().Set("Retry-After", strconv.Itoa(int(time.Duration(f.RetryAfter).Seconds())))
	}
	code, status := cmp.Or(f.Code, 500), http.StatusOK
	if f.Kind != FaultCode {
		status = code
	}
	if f.Kind == FaultRaw {
		reply{status, f.Type, []byte(f.Message)}.write(w)
		return
	}
	refusal(status, code, cmp.Or(f.Message, "The server says no.")).write(w)
}

// hangUp ends the connection without an answer.
func hangUp(w http.ResponseWriter, reset bool) {
	conn, _, err := http.NewResponseController(w).Hijack()
	if err != nil {
		panic(http.ErrAbortHandler) // not HTTP/1: the closest to it
	}
	if tcp, ok := conn.(*net.TCPConn); ok && reset {
		_ = tcp.SetLinger(0)
	}
	_ = conn.Close()
}

// hold waits until the client goes away or the server closes.
func (s *Server) hold(r *http.Request) {
	select {
	case <-r.Context().Done():
	case <-s.life.Done():
	}
}

// drip writes the proper answer at a byte a second, the first one at once.
func (s *Server) drip(w http.ResponseWriter, r *http.Request, proper reply) {
	w.Header().Set("Content-Type", proper.contentType)
	w.Header().Set("Content-Length", strconv.Itoa(len(proper.body)))
	w.WriteHeader(proper.status)
	for i := range proper.body {
		_, _ = w.Write(proper.body[i : i+1])
		_ = http.NewResponseController(w).Flush()
		select {
		case <-time.After(time.Second):
		case <-r.Context().Done():
			return
		case <-s.life.Done():
			return
		}
	}
}

// pour writes the proper answer and then more, again and again, until the client stops reading.
func (s *Server) pour(w http.ResponseWriter, proper reply, more []byte) {
	w.Header().Set("Content-Type", proper.contentType)
	w.WriteHeader(proper.status)
	for _, err := w.Write(proper.body); err == nil && s.life.Err() == nil; _, err = w.Write(more) {
	}
}

// bomb is 1 MiB of zeros, packed. Several in a row unpack as one stream.
var bomb = sync.OnceValue(func() []byte { return pack(make([]byte, 1<<20)) })

func pack(body []byte) []byte {
	var out bytes.Buffer
	packed := gzip.NewWriter(&out)
	_, _ = packed.Write(body) // a buffer takes everything
	_ = packed.Close()
	return out.Bytes()
}
