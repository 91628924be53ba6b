package bursttest

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"path"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
)

// The limit of a sibling of the provider, which publishes none.
const (
	limit     = 20
	limitTime = 10 * time.Second
)

// latency is the time until an answer.
const latency = 200 * time.Millisecond

// provider simulates NanoBanana's rate limit as an http.RoundTripper, since a real
// connection would stop synctest's time.
type provider struct {
	retryAfter time.Duration // of a 429; 0: without the header

	mu       sync.Mutex // guards what follows
	closed   bool       // refuses every POST
	recent   []time.Time
	posts    []posted
	accepted map[string]time.Time // by our id
}

// posted is a POST that arrived.
type posted struct {
	id string // ours
	at time.Time
}

// close begins or ends the refusal of every POST, and forgets the POSTs before.
func (p *provider) close(closed bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.closed, p.posts = closed, nil
}

// seen returns the POSTs that have arrived.
func (p *provider) seen() []posted {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Clone(p.posts)
}

// taken returns how many orders are accepted.
func (p *provider) taken() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.accepted)
}

func (p *provider) RoundTrip(r *http.Request) (*http.Response, error) {
	var order struct {
		CallbackURL string `json:"callBackUrl"`
	}
	if r.Method == http.MethodPost {
		if err := json.NewDecoder(r.Body).Decode(&order); err != nil {
			return nil, err
		}
		if err := r.Body.Close(); err != nil {
			return nil, err
		}
	}
	time.Sleep(latency)
	status, header, body := http.StatusOK, http.Header{"Content-Type": {"application/json"}}, ""
	switch {
	case r.Method == http.MethodPost:
		id := strings.Split(strings.TrimPrefix(order.CallbackURL, "https://api.example.com/v1/callbacks/"), "/")[0]
		if status, body = p.post(id); status == http.StatusTooManyRequests && p.retryAfter > 0 {
			header.Set("Retry-After", strconv.Itoa(int(p.retryAfter/time.Second)))
		}
	case path.Base(r.URL.Path) == "credit":
		body = `{"code":200,"msg":"success","data":1000000}`
	default: // a record: the order has failed, so that sweeps have no more work with it
		body = fmt.Sprintf(`{"code":200,"msg":"success","data":{"taskId":%q,"successFlag":2,"errorCode":400,"errorMessage":"content policy violation","response":null}}`, r.URL.Query().Get("taskId"))
	}
	return &http.Response{StatusCode: status, Header: header, Body: io.NopCloser(strings.NewReader(body)), ContentLength: int64(len(body)), Request: r}, nil
}

// post accepts an order, or refuses it with 429.
func (p *provider) post(id string) (status int, body string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	now := time.Now()
	p.posts = append(p.posts, posted{id, now})
	p.recent = slices.DeleteFunc(p.recent, func(at time.Time) bool { return now.Sub(at) >= limitTime })
	if p.closed || len(p.recent) >= limit {
		return http.StatusTooManyRequests, `{"code":429,"msg":"Too many requests","data":null}`
	}
	p.recent = append(p.recent, now)
	p.accepted[id] = now
	return http.StatusOK, fmt.Sprintf(`{"code":200,"msg":"success","data":{"taskId":"provider-%s"}}`, id)
}
