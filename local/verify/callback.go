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

	"github.com/preset/nanobanana-functions/shared/outbound"
)

// delivery is one callback that came.
type delivery struct {
	At      time.Time
	Step    int
	Status  int      // of our answer
	Headers []string // their names
	From    string   // the sender's address, if the tunnel names it
	Body    []byte
}

// isRecord reports whether the body is a whole record, as of the newer models.
func (d delivery) isRecord() bool {
	answer, ok := parseAnswer(d.Body)
	return ok && answer.Data.SuccessFlag != nil
}

// receiver receives the provider's callbacks. It answers those of step refused with
// 503, so that they come again.
type receiver struct {
	URL     string
	refused int

	token, reply string // in the callback's path, and to our own request
	transcript   *transcript
	server       *http.Server
	first        map[int]chan struct{} // closed at a step's first callback
	news         chan struct{}         // holds one element after a callback

	mu       sync.Mutex // guards what follows
	received []delivery
}

// probeStep is the step of the request by which the receiver checks PUBLIC_URL.
const probeStep = 0

// listen starts a receiver at addr, to which publicURL should lead.
func listen(addr, publicURL string, steps int, n *transcript) (*receiver, error) {
	listener, err := net.Listen("tcp", addr)
	if err != nil {
		return nil, fmt.Errorf("cannot listen for callbacks: %w (is the port in use? Choose another one with -addr)", err)
	}
	r := &receiver{URL: publicURL, refused: 1, token: rand.Text(), reply: rand.Text(), transcript: n, first: map[int]chan struct{}{}, news: make(chan struct{}, 1)}
	for i := range steps {
		r.first[i+1] = make(chan struct{})
	}
	mux := http.NewServeMux()
	mux.HandleFunc("POST /v1/callbacks/{step}/1/{token}", r.receive)
	r.server = &http.Server{Handler: mux, ReadHeaderTimeout: 5 * time.Second, ReadTimeout: 30 * time.Second}
	go func() { _ = r.server.Serve(listener) }() // until close
	return r, nil
}

func (r *receiver) close() { _ = r.server.Close() }

// address returns the callback URL of a step. Its path has the form of the real one.
func (r *receiver) address(step int) string { return callbackAddress(r.URL, step, r.token) }

func callbackAddress(base string, step int, token string) string {
	return fmt.Sprintf("%s/v1/callbacks/verify-%d/1/%s", base, step, token)
}

// checkReachable returns an error if PUBLIC_URL does not lead here. It runs before
// anything is spent.
func (r *receiver) checkReachable(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, 15*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, r.address(probeStep), strings.NewReader("{}"))
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("User-Agent", "nanobanana-verify")
	resp, err := outbound.NewClient().Do(req)
	if err != nil {
		return fmt.Errorf("PUBLIC_URL cannot be reached from here: %w", err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(io.LimitReader(resp.Body, 1<<10))
	if err != nil || string(b) != r.reply {
		return fmt.Errorf("PUBLIC_URL does not lead to this program: something else answered with %s", resp.Status)
	}
	return nil
}

func (r *receiver) receive(w http.ResponseWriter, req *http.Request) {
	var step int
	if _, err := fmt.Sscanf(req.PathValue("step"), "verify-%d", &step); err != nil || req.PathValue("token") != r.token {
		http.NotFound(w, req)
		return
	}
	if step == probeStep {
		_, _ = io.WriteString(w, r.reply)
		return
	}
	if r.first[step] == nil {
		http.NotFound(w, req)
		return
	}
	body, _ := io.ReadAll(io.LimitReader(req.Body, 1<<20)) // as much as came
	d := delivery{
		At: time.Now(), Step: step, Status: http.StatusOK, Body: body,
		Headers: slices.Sorted(maps.Keys(req.Header)), From: source(req),
	}
	if step == r.refused {
		d.Status = http.StatusServiceUnavailable
	}
	r.add(d)
	r.transcript.write(map[string]any{"callback": step, "status": d.Status, "headers": d.Headers, "body": string(body)})
	w.WriteHeader(d.Status)
}

func (r *receiver) add(d delivery) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if !slices.ContainsFunc(r.received, func(other delivery) bool { return other.Step == d.Step }) {
		close(r.first[d.Step])
	}
	r.received = append(r.received, d)
	select {
	case r.news <- struct{}{}:
	default:
	}
}

// source returns the sender's address: before the tunnel, if the tunnel names it.
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

// of returns the callbacks of a step; step 0 stands for all.
func (r *receiver) of(step int) []delivery {
	r.mu.Lock()
	defer r.mu.Unlock()
	var some []delivery
	for _, d := range r.received {
		if step == 0 || d.Step == step {
			some = append(some, d)
		}
	}
	return some
}

// maxDeliveries is how often the provider tries, according to its documentation.
const maxDeliveries = 4

// complete reports whether all expected callbacks of these steps have come.
func (r *receiver) complete(steps []int) bool {
	return !slices.ContainsFunc(steps, func(n int) bool {
		came := len(r.of(n))
		return came == 0 || n == r.refused && came < maxDeliveries
	})
}

// wait waits until the callbacks of these steps are complete, at most for timeout.
func (r *receiver) wait(ctx context.Context, steps []int, timeout time.Duration) {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	for !r.complete(steps) {
		select {
		case <-ctx.Done():
			return
		case <-r.news:
		}
	}
}
