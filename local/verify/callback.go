package verify

import (
	"context"
	"crypto/rand"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/preset/nanobanana-functions/shared/nanobanana"
)

// arrival is a callback that came.
type arrival struct {
	At      time.Time
	Step    int
	Status  int // as it was answered
	Headers []string
	From    string // as far as can be told behind a tunnel
	Body    []byte
}

// newer tells that it has the shape of the newer models: a whole record.
func (a arrival) newer() bool {
	said, ok := readAnswer(a.Body)
	return ok && said.Data.SuccessFlag != nil
}

// receiver is where the provider calls back. Callbacks of step refused are
// answered 503, so that they come again.
type receiver struct {
	URL     string
	refused int

	token, hello string
	notes        *notes
	server       *http.Server
	first        map[int]chan struct{} // closed when a step is first called back
	news         chan struct{}         // holds one when another has come

	mu       sync.Mutex // guards what follows
	arrivals []arrival
}

const helloStep = 0

// listen receives callbacks at addr, which publicURL leads to.
func listen(addr, publicURL string, steps int, n *notes) (*receiver, error) {
	listener, err := net.Listen("tcp", addr)
	if err != nil {
		return nil, fmt.Errorf("cannot listen for callbacks: %w (is it in use? -addr takes another port)", err)
	}
	r := &receiver{URL: publicURL, refused: 1, token: rand.Text(), hello: rand.Text(), notes: n, first: map[int]chan struct{}{}, news: make(chan struct{}, 1)}
	for i := range steps {
		r.first[i+1] = make(chan struct{})
	}
	mux := http.NewServeMux()
	mux.HandleFunc("POST /v1/callbacks/{step}/1/{token}", r.receive)
	r.server = &http.Server{Handler: mux, ReadHeaderTimeout: 5 * time.Second, ReadTimeout: 30 * time.Second}
	go func() { _ = r.server.Serve(listener) }() // ends by close
	return r, nil
}

func (r *receiver) close() { _ = r.server.Close() }

// address is where a step is called back: the path has the form of the real one.
func (r *receiver) address(step int) string { return callbackAddress(r.URL, step, r.token) }

func callbackAddress(base string, step int, token string) string {
	return fmt.Sprintf("%s/v1/callbacks/verify-%d/1/%s", base, step, token)
}

// reachable says why PUBLIC_URL does not lead here, before anything is spent.
func (r *receiver) reachable(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, 15*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, r.address(helloStep), strings.NewReader("{}"))
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("User-Agent", "nanobanana-verify")
	resp, err := nanobanana.NewHTTPClient().Do(req)
	if err != nil {
		return fmt.Errorf("PUBLIC_URL cannot be reached from here: %w", err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(io.LimitReader(resp.Body, 1<<10))
	if err != nil || string(b) != r.hello {
		return fmt.Errorf("PUBLIC_URL does not lead to this program: a POST to it was answered %s by something else", resp.Status)
	}
	return nil
}

func (r *receiver) receive(w http.ResponseWriter, req *http.Request) {
	var step int
	if _, err := fmt.Sscanf(req.PathValue("step"), "verify-%d", &step); err != nil || req.PathValue("token") != r.token {
		http.NotFound(w, req)
		return
	}
	if step == helloStep {
		_, _ = io.WriteString(w, r.hello)
		return
	}
	if r.first[step] == nil {
		http.NotFound(w, req)
		return
	}
	body, _ := io.ReadAll(io.LimitReader(req.Body, 1<<20)) // what came of it
	a := arrival{
		At: time.Now(), Step: step, Status: http.StatusOK, Body: body,
		Headers: slices.Sorted(maps.Keys(req.Header)), From: source(req),
	}
	if step == r.refused {
		a.Status = http.StatusServiceUnavailable
	}
	r.add(a)
	r.notes.write(map[string]any{"callback": step, "status": a.Status, "headers": a.Headers, "body": string(body)})
	w.WriteHeader(a.Status)
}

func (r *receiver) add(a arrival) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if !slices.ContainsFunc(r.arrivals, func(b arrival) bool { return b.Step == a.Step }) {
		close(r.first[a.Step])
	}
	r.arrivals = append(r.arrivals, a)
	select {
	case r.news <- struct{}{}:
	default:
	}
}

// source is the address before the tunnel, if that names it.
func source(r *http.Request) string {
	if from, _, _ := strings.Cut(r.Header.Get("X-Forwarded-For"), ","); from != "" {
		return strings.TrimSpace(from)
	}
	host, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		return r.RemoteAddr
	}
	return host
}

// of gives the callbacks of a step, or with 0 those of all.
func (r *receiver) of(step int) []arrival {
	r.mu.Lock()
	defer r.mu.Unlock()
	var some []arrival
	for _, a := range r.arrivals {
		if step == 0 || a.Step == step {
			some = append(some, a)
		}
	}
	return some
}

// deliveries is how often the provider is said to try.
const deliveries = 4

// complete tells whether all that can be expected has come, of the steps given.
func (r *receiver) complete(steps []int) bool {
	return !slices.ContainsFunc(steps, func(n int) bool {
		came := len(r.of(n))
		return came == 0 || n == r.refused && came < deliveries
	})
}

// wait waits for what is still to come of the steps given, but not for ever.
func (r *receiver) wait(ctx context.Context, steps []int, most time.Duration) {
	ctx, cancel := context.WithTimeout(ctx, most)
	defer cancel()
	for !r.complete(steps) {
		select {
		case <-ctx.Done():
			return
		case <-r.news:
		}
	}
}
