package lambdatest

import (
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"strconv"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

// initTimeout is how long a process may take to ask for its first event. Lambda's
// limit is 10 s, but here the processor is shared with other tests.
const initTimeout = time.Minute

// environment is one process of a function and its Runtime API.
type environment struct {
	config Config
	cmd    *exec.Cmd
	dir    string // its own /tmp
	api    *http.Server

	work     chan *invocation // sent when the process asks for the next
	killed   atomic.Bool
	outdated atomic.Bool   // of a binary that has been replaced
	exited   chan struct{} // closed when the process has ended
	status   string        // set before exited is closed: how it ended

	mu      sync.Mutex // guards current
	current *invocation
}

// invocation is one event and its result.
type invocation struct {
	id       string
	event    []byte
	timeout  time.Duration
	begun    chan struct{} // closed when the process has the event
	answered chan struct{} // closed when body and err are set
	body     []byte
	err      error
}

// start starts a process as Lambda does, without the caller's environment.
func start(c Config, log io.Writer) (*environment, error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("lambdatest: the Runtime API: %w", err)
	}
	dir, err := os.MkdirTemp("", "lambdatest-*")
	if err != nil {
		_ = listener.Close()
		return nil, fmt.Errorf("lambdatest: %w", err)
	}
	e := &environment{config: c, dir: dir, work: make(chan *invocation), exited: make(chan struct{})}
	e.api = &http.Server{Handler: e.runtimeAPI(), ReadHeaderTimeout: 10 * time.Second}
	e.cmd = exec.Command(c.Path)
	e.cmd.Dir = dir
	e.cmd.Env = environ(c, listener.Addr().String(), dir)
	e.cmd.Stdout, e.cmd.Stderr = log, log
	if err := e.cmd.Start(); err != nil {
		_, _ = listener.Close(), os.RemoveAll(dir)
		return nil, fmt.Errorf("lambdatest: %w", err)
	}
	go func() { _ = e.api.Serve(listener) }() // ends with the process
	go e.wait()
	return e, nil
}

// environ returns a process's environment: Lambda's own variables and the given
// ones.
func environ(c Config, api, dir string) []string {
	env := []string{
		"AWS_LAMBDA_RUNTIME_API=" + api, "AWS_LAMBDA_FUNCTION_NAME=" + c.Name,
		"AWS_LAMBDA_FUNCTION_VERSION=$LATEST", "AWS_LAMBDA_FUNCTION_MEMORY_SIZE=512",
		"AWS_LAMBDA_INITIALIZATION_TYPE=on-demand", "AWS_EXECUTION_ENV=AWS_Lambda_provided.al2023",
		"_HANDLER=bootstrap", "LAMBDA_TASK_ROOT=" + dir, "TMPDIR=" + dir, "TZ=:UTC", "PATH=/usr/bin:/bin",
	}
	for name, value := range c.Env {
		env = append(env, name+"="+value)
	}
	return env
}

// wait waits for the end of the process and cleans up after it.
func (e *environment) wait() {
	e.status = "exit status 0"
	if err := e.cmd.Wait(); err != nil {
		e.status = err.Error()
	}
	_, _ = e.api.Close(), os.RemoveAll(e.dir)
	close(e.exited) // last: the program may end as soon as this is closed
}

func (e *environment) ended() bool {
	select {
	case <-e.exited:
		return true
	default:
		return e.killed.Load()
	}
}

func (e *environment) kill() {
	e.killed.Store(true)
	_ = e.cmd.Process.Kill() // an error means that it has ended already
	<-e.exited
}

func (e *environment) exit() error {
	return &Error{Type: "Runtime.ExitError", Message: e.status}
}

// invoke lets the process handle one event, and kills it if that takes too long.
func (e *environment) invoke(event []byte, timeout time.Duration) ([]byte, error) {
	v := &invocation{id: uuid(), event: event, timeout: timeout, begun: make(chan struct{}), answered: make(chan struct{})}
	_ = e.cmd.Process.Signal(syscall.SIGCONT) // it was frozen
	starting := time.NewTimer(initTimeout)
	defer starting.Stop()
	select {
	case e.work <- v:
		<-v.begun
	case <-e.exited:
		return nil, e.exit()
	case <-starting.C:
		e.kill()
		return nil, &Error{Type: "Sandbox.Timedout", Message: "it did not ask for an event within " + initTimeout.String()}
	}
	running := time.NewTimer(timeout)
	defer running.Stop()
	select {
	case <-v.answered:
		return v.body, v.err
	case <-e.exited:
		select {
		case <-v.answered: // it ended after its answer, for example by a panic
			return v.body, v.err
		default:
			return nil, e.exit()
		}
	case <-running.C:
		e.kill()
		return nil, &Error{Type: "Sandbox.Timedout", Message: "Task timed out after " + timeout.String()}
	}
}

// runtimeAPI returns the Runtime API for the process.
func (e *environment) runtimeAPI() http.Handler {
	const prefix = "/2018-06-01/runtime/"
	mux := http.NewServeMux()
	mux.HandleFunc("GET "+prefix+"invocation/next", e.next)
	mux.HandleFunc("POST "+prefix+"invocation/{id}/response", func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		e.answer(w, r.PathValue("id"), body, err)
	})
	mux.HandleFunc("POST "+prefix+"invocation/{id}/error", func(w http.ResponseWriter, r *http.Request) {
		e.answer(w, r.PathValue("id"), nil, handlerError(r))
	})
	mux.HandleFunc("POST "+prefix+"init/error", func(w http.ResponseWriter, _ *http.Request) {
		respond(w, http.StatusAccepted) // the process now ends by itself, which is detected
	})
	return mux
}

// next answers with an event; until there is one the process is frozen.
func (e *environment) next(w http.ResponseWriter, r *http.Request) {
	var v *invocation
	select {
	case v = <-e.work:
	default:
		_ = e.cmd.Process.Signal(syscall.SIGSTOP)
		select {
		case v = <-e.work:
			_ = e.cmd.Process.Signal(syscall.SIGCONT) // invoke's own may have come before the stop
		case <-r.Context().Done():
			return
		}
	}
	e.mu.Lock()
	e.current = v
	e.mu.Unlock()
	if e.config.OnNext != nil {
		e.config.OnNext(e.cmd.Process)
	}
	h := w.Header()
	h.Set("Content-Type", "application/json")
	h.Set("Lambda-Runtime-Aws-Request-Id", v.id)
	h.Set("Lambda-Runtime-Deadline-Ms", strconv.FormatInt(time.Now().Add(v.timeout).UnixMilli(), 10))
	h.Set("Lambda-Runtime-Invoked-Function-Arn", "arn:aws:lambda:eu-central-1:123456789012:function:"+e.config.Name)
	h.Set("Lambda-Runtime-Trace-Id", "Root=1-5759e988-bd862e3fe1be46a994272793;Parent=53995c3f42cd8ad8;Sampled=0")
	close(v.begun)
	_, _ = w.Write(v.event) // an error means that the process has ended, which is detected
}

// answer takes the process's answer to an invocation. Only the current one can be
// answered, and only once.
func (e *environment) answer(w http.ResponseWriter, id string, body []byte, err error) {
	e.mu.Lock()
	v := e.current
	if v == nil || v.id != id {
		e.mu.Unlock()
		respond(w, http.StatusBadRequest)
		return
	}
	e.current = nil
	e.mu.Unlock()
	if e.config.OnAnswer != nil {
		e.config.OnAnswer(e.cmd.Process)
	}
	respond(w, http.StatusAccepted)
	v.body, v.err = body, err
	close(v.answered)
}

// handlerError returns the error that a handler returned.
func handlerError(r *http.Request) error {
	var said struct{ ErrorType, ErrorMessage string }
	if err := json.NewDecoder(r.Body).Decode(&said); err != nil {
		return fmt.Errorf("lambdatest: the function's error is not readable: %w", err)
	}
	return &Error{Type: said.ErrorType, Message: said.ErrorMessage}
}

func respond(w http.ResponseWriter, status int) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_, _ = io.WriteString(w, `{"status":"OK"}`)
}

// uuid returns a random UUID, the form of Lambda's request ids.
func uuid() string {
	var b [16]byte
	_, _ = rand.Read(b[:])
	b[6], b[8] = b[6]&0x0f|0x40, b[8]&0x3f|0x80
	x := hex.EncodeToString(b[:])
	return x[:8] + "-" + x[8:12] + "-" + x[12:16] + "-" + x[16:20] + "-" + x[20:]
}
