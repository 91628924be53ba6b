package prooftest

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/preset/nanobanana-functions/shared/media"
	"github.com/preset/nanobanana-functions/shared/nanobanana/nanobananatest"
)

// provider simulates NanoBanana in memory: nanobananatest cannot hold a request while
// another overtakes it. Its answers are nanobananatest's samples. Guarded by
// simulation.mu.
type provider struct {
	sim    *simulation
	orders []*order
}

// order is an order that the provider has accepted: a task of its own.
type order struct {
	id      string
	task    string // ours
	attempt int
	images  int
	params  string // as sent
	flag    int
	code    int // of a failure
	text    string
	record  string // how its record is answered; see provider.recorded
	echo    string // how its record repeats the parameters; see echoes
	links   int    // how often its links were replaced by fresh ones
	lasting bool   // the old links work, too
	stale   bool   // its record keeps the old links for ever
	vouched int    // which of its links a true callback named, if that counts; -1: none

	read       time.Time       // when its record was last asked for
	shown      map[string]bool // URLs that a record had
	unstated   map[string]bool // URLs of a record without a state
	broken     bool            // a record said that it failed
	lied       bool            // a record was false or incomplete
	unreadable bool            // a record could not be read
	anonymous  bool            // a record did not say whose it is
	useless    bool            // an unusable record came
	disowned   bool            // an unusable record came while nothing else proved whose the order is
	foreign    bool            // a callback of another task named it

	doubt doubt
}

// urls returns the live links to its pictures.
func (o *order) urls() []string { return o.urlsAt(o.links) }

// urlsAt returns its links after so many replacements.
func (o *order) urlsAt(links int) []string {
	urls := make([]string, o.images)
	for i := range urls {
		urls[i] = fmt.Sprintf("http://%s%s?%d", pictureHost, o.path(i+1), links)
	}
	return urls
}

func (o *order) path(n int) string { return fmt.Sprintf("/%s/%d.png", o.id, n) }

// picture returns the picture at one of the provider's paths.
func picture(path string) []byte { return []byte("\x89PNG\r\n\x1a\n" + path) }

// cutShort returns what arrives of a picture if the transfer breaks off.
func cutShort(picture []byte) []byte { return picture[:len(picture)-3] }

func (p *provider) byID(id string) *order {
	i := slices.IndexFunc(p.orders, func(o *order) bool { return o.id == id })
	if i < 0 {
		return nil
	}
	return p.orders[i]
}

// fields are values by their place in a sample, such as data.taskId.
type fields map[string]any

// fill returns one of nanobananatest's samples with these values.
func fill(sample string, values fields) []byte {
	var all map[string]any
	if err := json.Unmarshal(nanobananatest.Golden(sample), &all); err != nil {
		panic(err)
	}
	for place, value := range values {
		object := all
		path := strings.Split(place, ".")
		for _, name := range path[:len(path)-1] {
			object = object[name].(map[string]any)
		}
		object[path[len(path)-1]] = value
	}
	b, err := json.Marshal(all)
	if err != nil {
		panic(err)
	}
	return b
}

func refusal(code int, text string) []byte { return fill("refusal", fields{"code": code, "msg": text}) }

// reply is an answer over HTTP, or the error if there is none.
type reply struct {
	status int
	wait   int // Retry-After, in seconds
	body   []byte
	err    error
}

func refused(code int, text string) reply { return reply{status: code, body: refusal(code, text)} }

var unauthorized = refused(401, "You do not have access permissions")

var errNotConnected = errors.New("connection refused")

// refusals are the answers that certainly refuse the next POST.
var refusals = map[string]reply{
	"not connected": {err: errNotConnected},
	"429":           {status: 429, wait: 90, body: refusal(429, "too many requests")},
	"455":           refused(455, "maintenance"),
	"402":           refused(402, "Credits insufficient: please top up to continue."),
	"422":           refused(422, "validation failed"),
	"400":           refused(400, "Your prompt has been flagged for violating content policy"),
}

// ambiguous are the answers that leave open whether the POST was accepted.
var ambiguous = map[string]reply{
	"500":         refused(500, "The server says no."),
	"code 500":    {status: 200, body: refusal(500, "The server says no.")},
	"no task id":  {status: 200, body: fill("submit-generate", fields{"data": nil})},
	"half":        {status: 200, body: nanobananatest.Golden("submit-generate")[:20]},
	"HTML":        {status: 200, body: []byte("<!DOCTYPE html><title>One moment</title>")},
	"redirect":    {status: 307},
	"empty":       {status: 200},
	"402 in HTML": {status: 402, body: []byte("<!DOCTYPE html><title>No</title>")},
}

// post accepts an order, unless conditions.answer names a refusal or an ambiguous answer.
// With a "!" at the end of the latter, the order is accepted all the same.
func (p *provider) post(a *attempt, params []byte, key string) reply {
	how := p.sim.conditions.answer
	p.sim.conditions.answer = ""
	if refused, is := refusals[how]; is {
		a.refused = true
		return refused
	}
	bad, is := ambiguous[strings.TrimSuffix(how, "!")]
	if is && !strings.HasSuffix(how, "!") {
		return bad
	}
	if key != p.sim.conditions.validKey {
		a.refused = true
		return unauthorized
	}
	var sent struct {
		NumImages int `json:"numImages"`
	}
	if err := json.Unmarshal(params, &sent); err != nil {
		panic(err)
	}
	o := &order{
		id: fmt.Sprintf("%032x", len(p.orders)+1), task: a.task, attempt: a.n, images: max(1, sent.NumImages),
		params: string(params), shown: map[string]bool{}, unstated: map[string]bool{}, vouched: -1,
	}
	p.orders = append(p.orders, o)
	a.order = o
	p.sim.note("    the provider accepts %s/%d as %s", short(a.task), a.n, o.id[30:])
	if is {
		return bad
	}
	return reply{status: 200, body: fill("submit-generate", fields{"data.taskId": o.id})}
}

// processTransport is one process's connection to the provider.
type processTransport struct{ p *process }

func (t processTransport) RoundTrip(r *http.Request) (*http.Response, error) {
	if strings.HasPrefix(r.URL.Path, "/"+media.UploadPrefix) {
		return t.p.serveUpload(r), nil
	}
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return nil, err
	}
	trace := httptrace.ContextClientTrace(r.Context())
	trace.GetConn(r.URL.Host)
	var got reply
	switch path := r.URL.Path; {
	case r.Method == http.MethodPost:
		got = t.post(r, body)
	case strings.HasSuffix(path, "/record-info"):
		got = t.record(r, r.FormValue("taskId"))
	case strings.HasSuffix(path, "/common/credit"):
		got = t.credit()
	default:
		panic("a call to " + path)
	}
	if got.err != nil {
		if !errors.Is(got.err, errNotConnected) {
			trace.GotConn(httptrace.GotConnInfo{})
		}
		return nil, got.err
	}
	trace.GotConn(httptrace.GotConnInfo{})
	resp := &http.Response{StatusCode: got.status, Header: http.Header{}, Request: r, Body: io.NopCloser(bytes.NewReader(got.body))}
	if got.wait > 0 {
		resp.Header.Set("Retry-After", strconv.Itoa(got.wait))
	}
	return resp, nil
}

func (t processTransport) post(r *http.Request, body []byte) (got reply) {
	sim, actor := t.p.sim, t.p.actor
	var sent struct {
		URL string `json:"callBackUrl"`
	}
	if err := json.Unmarshal(body, &sent); err != nil {
		panic(err)
	}
	part := strings.Split(strings.TrimPrefix(sent.URL, publicURL+"/v1/callbacks/"), "/")
	n, err := strconv.Atoi(part[1])
	if err != nil {
		panic(err)
	}
	key := strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer ")
	sim.mu.Lock()
	a := sim.ledger.attempt(part[0], n)
	sim.checkPost(actor, a)
	sim.mu.Unlock()
	fault := sim.call(r.Context(), actor, "post", a.task, false, func() error {
		got = sim.provider.post(a, body, key)
		return nil
	})
	if fault != nil {
		return reply{err: fault}
	}
	sim.mu.Lock()
	defer sim.mu.Unlock()
	if a.answered = true; a.order != nil && got.status == 200 && bytes.Contains(got.body, []byte(a.order.id)) {
		actor.answered = append(actor.answered, a)
		a.faults = actor.faults
	}
	return got
}

func (t processTransport) record(r *http.Request, id string) (got reply) {
	sim, actor := t.p.sim, t.p.actor
	sim.mu.Lock()
	o := sim.provider.byID(id)
	if o != nil && actor.lives() {
		sim.checkRead(actor, o)
	}
	proved := o != nil && actor.proved(o)
	as, proof := unread, false
	sim.mu.Unlock()
	key := strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer ")
	fault := sim.call(r.Context(), actor, "record", id, false, func() error {
		switch {
		case o == nil:
			got = failures["hidden"]
		case key != sim.conditions.validKey:
			got, o.unreadable = unauthorized, true
		default:
			got, as = sim.provider.recorded(o, proved)
			proof = as != unread && as != strange && echoes[o.echo].proof == proves
			sim.countRecord(o, as, proved)
		}
		return nil
	})
	if fault != nil {
		sim.mu.Lock()
		defer sim.mu.Unlock()
		if o != nil {
			o.unreadable = true
		}
		return reply{err: fault}
	}
	sim.mu.Lock()
	defer sim.mu.Unlock()
	if actor.rescues == "" {
		actor.saw(o, as, proof)
	}
	return got
}

// credit answers at once: the balance has tests of its own.
func (t processTransport) credit() reply {
	sim := t.p.sim
	sim.mu.Lock()
	defer sim.mu.Unlock()
	if sim.conditions.balanceDown || !t.p.actor.lives() {
		return reply{err: errLost}
	}
	return reply{status: 200, body: fill("credit", fields{"data": sim.conditions.balance})}
}

// serveDownload serves one download.
func (p *provider) serveDownload(conn net.Conn, how string, to *actor) {
	defer func() { _ = conn.Close() }()
	r, err := http.ReadRequest(bufio.NewReader(conn))
	if err != nil {
		return
	}
	p.sim.mu.Lock()
	if o := p.byID(strings.Split(r.URL.Path, "/")[1]); o != nil && !o.lasting && strconv.Itoa(o.links) != r.URL.RawQuery {
		how = "403"
	}
	p.sim.checkFetch(to, "http://"+pictureHost+r.RequestURI)
	if how != "" {
		to.failed++
	}
	p.sim.mu.Unlock()
	body, status, length := picture(r.URL.Path), "200 OK", 0
	switch length = len(body); how {
	case "403":
		status = "403 Forbidden"
	case "cut":
		body = cutShort(body)
	case "html":
		body = []byte("<!DOCTYPE html><title>gone</title>")
		length = len(body)
	}
	fmt.Fprintf(conn, "HTTP/1.1 %s\r\nContent-Length: %d\r\nConnection: close\r\n\r\n%s", status, length, body)
}
