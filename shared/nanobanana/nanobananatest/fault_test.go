package nanobananatest_test

import (
	"bufio"
	"bytes"
	"cmp"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/preset/nanobanana-functions/shared/nanobanana/nanobananatest"
)

// rawConn is a TCP connection, which shows a test what net/http would hide.
type rawConn struct {
	t *testing.T
	net.Conn
	sent time.Time // when the request was sent, or a little earlier
}

// dial sends one request and does not read the answer.
func (p *provider) dial(t *testing.T, method, path, body string) rawConn {
	t.Helper()
	conn, err := net.Dial("tcp", strings.TrimPrefix(p.URL, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	sent := time.Now()
	_, err = fmt.Fprintf(conn, "%s %s HTTP/1.1\r\nHost: h\r\nUser-Agent: test\r\nConnection: close\r\nAuthorization: Bearer %s\r\nContent-Length: %d\r\n\r\n%s",
		method, path, p.key, len(body), body)
	if err != nil {
		t.Fatal(err)
	}
	return rawConn{t, conn, sent}
}

// read returns n bytes, or fewer if no more arrive in time.
func (l rawConn) read(n int64, within time.Duration) ([]byte, error) {
	l.t.Helper()
	_ = l.SetReadDeadline(time.Now().Add(within))
	return io.ReadAll(io.LimitReader(l, n))
}

// head reads up to the empty line after the headers.
func (l rawConn) head() (head string, err error) {
	l.t.Helper()
	for !strings.HasSuffix(head, "\r\n\r\n") {
		b, err := l.read(1, patience)
		if err != nil || len(b) == 0 {
			return head, cmp.Or(err, io.ErrUnexpectedEOF)
		}
		head += string(b)
	}
	return head, nil
}

// answer reads to the end and returns head and body.
func (l rawConn) answer() (head, body string, err error) {
	l.t.Helper()
	all, err := l.read(1<<20, patience)
	head, body, _ = strings.Cut(string(all), "\r\n\r\n")
	return head, body, err
}

func length(head string) int {
	_, after, _ := strings.Cut(head, "Content-Length: ")
	digits, _, _ := strings.Cut(after, "\r\n")
	n, _ := strconv.Atoi(digits)
	return n
}

// request is one of the four requests that can have a fault.
type request struct {
	method, path, body string
	set                func(*nanobananatest.Knobs, nanobananatest.Fault)
}

func requests(p *provider) map[string]request {
	made := p.done(p.mustSubmit("generate"))
	return map[string]request{
		"submit": {"POST", "/api/v1/nanobanana/generate", `{"prompt":"p","type":"TEXTTOIAMGE","callBackUrl":"` + nowhere + `"}`,
			func(k *nanobananatest.Knobs, f nanobananatest.Fault) { k.Submit = f }},
		"record": {"GET", "/api/v1/nanobanana/record-info?taskId=" + made.ID, "",
			func(k *nanobananatest.Knobs, f nanobananatest.Fault) { k.Record = f }},
		"credit": {"GET", "/api/v1/common/credit", "",
			func(k *nanobananatest.Knobs, f nanobananatest.Fault) { k.Credit = f }},
		"download": {"GET", strings.TrimPrefix(made.URLs[0], p.URL), "",
			func(k *nanobananatest.Knobs, f nanobananatest.Fault) { k.Download = f }},
	}
}

func TestFaults(t *testing.T) {
	p := serve(t)
	for name, r := range requests(p) {
		send := func(t *testing.T, f nanobananatest.Fault) rawConn {
			t.Helper()
			p.SetKnobs(func(k *nanobananatest.Knobs) { r.set(k, f) })
			return p.dial(t, r.method, r.path, r.body)
		}
		// Each submit makes another task id.
		_, proper, err := send(t, nanobananatest.Fault{}).answer()
		if err != nil || len(proper) < 10 {
			t.Fatalf("%s: the proper body is %q, %v", name, proper, err)
		}
		for kind, check := range faultChecks {
			t.Run(name+" "+string(kind), func(t *testing.T) {
				check(t, send(t, nanobananatest.Fault{Kind: kind, Code: 455, Message: "No.", Accepted: true,
					RetryAfter: nanobananatest.Duration(20 * time.Second), Target: "http://other.example/x"}), proper)
			})
		}
	}
}

// faultChecks check each kind of fault on the wire; proper is the body without the fault.
var faultChecks = map[nanobananatest.FaultKind]func(t *testing.T, l rawConn, proper string){
	nanobananatest.FaultStatus: func(t *testing.T, l rawConn, _ string) {
		head, body, _ := l.answer()
		if !strings.HasPrefix(head, "HTTP/1.1 455 ") || !strings.Contains(head, "Retry-After: 20\r\n") || body != `{"code":455,"data":null,"msg":"No."}` {
			t.Errorf("%s\n%s", head, body)
		}
	},
	nanobananatest.FaultCode: func(t *testing.T, l rawConn, _ string) {
		head, body, _ := l.answer()
		if !strings.HasPrefix(head, "HTTP/1.1 200 ") || !strings.Contains(head, "Retry-After: 20\r\n") || body != `{"code":455,"data":null,"msg":"No."}` {
			t.Errorf("%s\n%s", head, body)
		}
	},
	nanobananatest.FaultHTML: func(t *testing.T, l rawConn, _ string) {
		head, body, _ := l.answer()
		if !strings.HasPrefix(head, "HTTP/1.1 200 ") || !strings.Contains(head, "text/html") || !strings.HasPrefix(body, "<!DOCTYPE html>") {
			t.Errorf("%s\n%s", head, body)
		}
	},
	nanobananatest.FaultTruncated: func(t *testing.T, l rawConn, proper string) {
		head, body, err := l.answer()
		if err != nil || len(body) != len(proper)/2 || length(head) != len(body) || body[:4] != proper[:4] {
			t.Errorf("%s\n%d bytes of %d, %v", head, len(body), len(proper), err)
		}
	},
	nanobananatest.FaultCut: func(t *testing.T, l rawConn, proper string) {
		head, body, _ := l.answer()
		if len(body) != len(proper)/2 || length(head) != len(proper) || body[:4] != proper[:4] {
			t.Errorf("%s\n%d bytes of %d", head, len(body), len(proper))
		}
	},
	nanobananatest.FaultEmpty: func(t *testing.T, l rawConn, _ string) {
		head, body, err := l.answer()
		if err != nil || !strings.HasPrefix(head, "HTTP/1.1 200 ") || !strings.Contains(head, "Content-Length: 0") || body != "" {
			t.Errorf("%s\n%q, %v", head, body, err)
		}
	},
	nanobananatest.FaultNoTaskID: func(t *testing.T, l rawConn, _ string) {
		head, body, _ := l.answer()
		if !strings.HasPrefix(head, "HTTP/1.1 200 ") || body != `{"code":200,"data":null,"msg":"success"}` {
			t.Errorf("%s\n%s", head, body)
		}
	},
	nanobananatest.FaultReset: func(t *testing.T, l rawConn, _ string) {
		if got, err := l.read(1, patience); len(got) != 0 || !errors.Is(err, syscall.ECONNRESET) {
			t.Errorf("%q, %v; want a reset", got, err)
		}
	},
	nanobananatest.FaultClose: func(t *testing.T, l rawConn, _ string) {
		if got, err := l.read(1, patience); len(got) != 0 || err != nil {
			t.Errorf("%q, %v; want an orderly end", got, err)
		}
	},
	nanobananatest.FaultHang: func(t *testing.T, l rawConn, _ string) {
		if got, err := l.read(1, 30*time.Millisecond); len(got) != 0 || !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("%q, %v; want nothing", got, err)
		}
	},
	nanobananatest.FaultRedirect: func(t *testing.T, l rawConn, _ string) {
		head, body, _ := l.answer()
		if !strings.HasPrefix(head, "HTTP/1.1 307 ") || !strings.Contains(head, "Location: http://other.example/x\r\n") || body != "" {
			t.Errorf("%s\n%s", head, body)
		}
	},
	nanobananatest.FaultSlow: func(t *testing.T, l rawConn, proper string) {
		head, err := l.head()
		body, cut := l.read(1, patience)
		if err != nil || cut != nil || length(head) != len(proper) || string(body) != proper[:1] {
			t.Fatalf("%s\n%q, %v, %v; want one byte of %d", head, body, err, cut, len(proper))
		}
		if more, err := l.read(1, 30*time.Millisecond); !errors.Is(err, os.ErrDeadlineExceeded) && time.Since(l.sent) < time.Second {
			t.Errorf("%q, %v; want the next byte a second later", more, err)
		}
	},
	nanobananatest.FaultEndless: func(t *testing.T, l rawConn, proper string) {
		all, err := l.read(2<<20, patience)
		if err != nil || len(all) != 2<<20 || !bytes.Contains(all, []byte(proper[:4])) || !bytes.Contains(all[1<<20:], make([]byte, 1000)) {
			t.Errorf("%d bytes, %v; want no end", len(all), err)
		}
	},
	nanobananatest.FaultGzipBomb: func(t *testing.T, l rawConn, proper string) {
		const size = 3 << 20
		_ = l.SetReadDeadline(time.Now().Add(patience))
		var wire bytes.Buffer
		resp, err := http.ReadResponse(bufio.NewReader(io.TeeReader(l, &wire)), nil)
		if err != nil || resp.Header.Get("Content-Encoding") != "gzip" {
			t.Fatalf("%v, %v", resp, err)
		}
		unpacked, err := gzip.NewReader(resp.Body)
		if err != nil {
			t.Fatal(err)
		}
		all, err := io.ReadAll(io.LimitReader(unpacked, size))
		if err != nil || len(all) != size || string(all[:4]) != proper[:4] || wire.Len() > size/100 {
			t.Errorf("%d bytes from %d, %v; want %d from a hundredth", len(all), wire.Len(), err, size)
		}
	},
}

// Whether a request is carried out does not depend on the answer that its sender sees.
func TestFaultySubmitIsCarriedOutOrNot(t *testing.T) {
	for kind := range faultChecks {
		for _, accepted := range []bool{false, true} {
			t.Run(fmt.Sprint(kind, " ", accepted), func(t *testing.T) {
				p, callbacks := serve(t), receive(t)
				p.SetKnobs(func(k *nanobananatest.Knobs) {
					k.Submit = nanobananatest.Fault{Kind: kind, Accepted: accepted, Times: 1}
				})
				p.dial(t, "POST", "/api/v1/nanobanana/generate-2", `{"prompt":"p","callBackUrl":"`+callbacks.url+`"}`)
				if accepted {
					callbacks.next(t)
				}
				await(t, "the post", func() bool { return p.Posts() == 1 })
				await(t, "the fault to be spent", func() bool { return p.Knobs().Submit == nanobananatest.Fault{} })
				if n := len(p.Tasks()); (n == 1) != accepted || p.Balance() != 1000-8*float64(n) {
					t.Errorf("%d tasks, balance %v", n, p.Balance())
				}
				p.mustSubmit("generate-2") // the fault is over
			})
		}
	}
}

// A fault affects refusals too, and as many requests as Times says.
func TestFaultTimes(t *testing.T) {
	p := serve(t)
	p.SetKnobs(func(k *nanobananatest.Knobs) {
		k.Credit = nanobananatest.Fault{Kind: nanobananatest.FaultStatus, Code: 429, Times: 2}
		k.Record = nanobananatest.Fault{Kind: nanobananatest.FaultStatus}
		k.Submit = nanobananatest.Fault{Kind: nanobananatest.FaultEmpty, Accepted: true}
	})
	for i, want := range []int{429, 429, 200, 200} {
		if a := p.credit(); a.status != want {
			t.Errorf("request %d: %d, want %d", i, a.status, want)
		}
	}
	for range 3 {
		if a := p.record("unknown"); a.status != 500 || a.body["msg"] != "The server says no." {
			t.Errorf("record: %d %s", a.status, a.raw)
		}
	}
	if a := p.submit("generate", object{}); a.status != 200 || len(a.raw) != 0 || len(p.Tasks()) != 0 {
		t.Errorf("a refused submit: %d %s", a.status, a.raw)
	}
}

func TestErrorsInBody(t *testing.T) {
	p := serve(t, func(k *nanobananatest.Knobs) { k.ErrorsInBody = true })
	p.SetBalance(3)
	for code, a := range map[int]answer{
		400: p.submit("generate", object{}), 402: p.submit("generate", params("generate")), 404: p.record("unknown"),
	} {
		if a.status != 200 || a.code() != code {
			t.Errorf("%d: %d %s", code, a.status, a.raw)
		}
	}
	p.key = "wrong"
	if a := p.credit(); a.status != 200 || a.code() != 401 {
		t.Errorf("401: %d %s", a.status, a.raw)
	}
}
