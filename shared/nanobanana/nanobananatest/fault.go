package nanobananatest

import (
	"bytes"
	"cmp"
	"net"
	"net/http"
	"strconv"
	"time"
)

// refusal is an error in the vendor's envelope.
type refusal struct {
	code    int
	message string
}

// refuse answers with a refusal, by the carrier the knobs say.
func (s *Server) refuse(w http.ResponseWriter, r refusal) {
	status := r.code
	if s.Knobs().ErrorsInBody {
		status = http.StatusOK
	}
	r.write(w, status)
}

func (r refusal) write(w http.ResponseWriter, status int) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_, _ = w.Write(fill("refusal", fields{"code": r.code, "msg": r.message}))
}

// answer writes the proper answer, body, or what the fault makes of it.
func (s *Server) answer(w http.ResponseWriter, r *http.Request, f Fault, contentType string, body []byte) {
	half := body[:len(body)/2]
	header := w.Header()
	header.Set("Content-Type", contentType)
	switch f.Kind {
	case FaultStatus, FaultCode:
		s.answerCode(w, f)
	case FaultHTML:
		header.Set("Content-Type", "text/html")
		_, _ = w.Write([]byte("<!DOCTYPE html><title>One moment</title><p>Checking your browser."))
	case FaultTruncated:
		_, _ = w.Write(half)
	case FaultCut:
		header.Set("Content-Length", strconv.Itoa(len(body)))
		_, _ = w.Write(half)
		panic(http.ErrAbortHandler)
	case FaultEmpty:
		w.WriteHeader(http.StatusOK)
	case FaultNoTaskID:
		_, _ = w.Write(fill("submit-generate", fields{"data": nil}))
	case FaultReset, FaultClose:
		hangUp(w, f.Kind == FaultReset)
	case FaultHang:
		s.hold(r)
		panic(http.ErrAbortHandler)
	case FaultRedirect:
		header.Set("Location", f.Target)
		w.WriteHeader(http.StatusTemporaryRedirect)
	case FaultSlow:
		s.drip(w, r, body)
	case FaultEndless:
		pour(w, body)
	default:
		header.Set("Content-Length", strconv.Itoa(len(body)))
		_, _ = w.Write(body)
	}
}

func (s *Server) answerCode(w http.ResponseWriter, f Fault) {
	if f.RetryAfter > 0 {
		w.Header().Set("Retry-After", strconv.Itoa(int(time.Duration(f.RetryAfter).Seconds())))
	}
	r := refusal{cmp.Or(f.Code, 500), cmp.Or(f.Message, "The server says no.")}
	status := http.StatusOK
	if f.Kind == FaultStatus {
		status = r.code
	}
	r.write(w, status)
}

// hangUp ends the connection without an answer.
func hangUp(w http.ResponseWriter, reset bool) {
	conn, _, err := http.NewResponseController(w).Hijack()
	if err != nil {
		panic(http.ErrAbortHandler) // not HTTP/1: the nearest there is
	}
	if tcp, ok := conn.(*net.TCPConn); ok && reset {
		_ = tcp.SetLinger(0)
	}
	_ = conn.Close()
}

// hold waits until the client or the server has gone.
func (s *Server) hold(r *http.Request) {
	select {
	case <-r.Context().Done():
	case <-s.life.Done():
	}
}

// drip writes body a byte a second, and the first byte at once.
func (s *Server) drip(w http.ResponseWriter, r *http.Request, body []byte) {
	w.Header().Set("Content-Length", strconv.Itoa(len(body)))
	for i := range body {
		_, _ = w.Write(body[i : i+1])
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

// pour writes body, and then zeros for as long as somebody reads.
func pour(w http.ResponseWriter, body []byte) {
	zeros := bytes.Repeat([]byte{0}, 64<<10)
	for _, err := w.Write(body); err == nil; _, err = w.Write(zeros) {
	}
}
