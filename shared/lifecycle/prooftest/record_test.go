package prooftest

import (
	"encoding/json"
	"net/url"
	"slices"
	"strings"

	"github.com/preset/nanobanana-functions/shared/auth/token"
	"github.com/preset/nanobanana-functions/shared/lifecycle"
	"github.com/preset/nanobanana-functions/shared/nanobanana/nanobananatest"
	"github.com/preset/nanobanana-functions/shared/task"
)

// view is the value of an answer to a read of a record, as far as the reader can know.
type view int

const (
	unread   view = iota // no record came
	usable               // the order's own, and readable
	unusable             // it does not show the order's state
	strange              // another order's
)

var viewNames = [...]string{"unread", "usable", "unusable", "strange"}

// failures are answers without a record.
var failures = map[string]reply{
	"hidden": refused(404, "the task does not exist"),
	"500":    refused(500, "The server says no."),
	"HTML":   {status: 200, body: []byte("<html>")},
	"429":    {status: 429, wait: 3600, body: refusal(429, "too many requests")},
}

// strangers are the ways in which a record can be another order's.
var strangers = map[string]struct {
	sibling  bool // an order of another attempt of ours; else of another customer
	failed   bool
	bare     bool // without parameters: only its id shows whose it is
	nameless bool // with our id: only its parameters show whose it is
}{
	"stranger":        {},
	"stranger failed": {failed: true},
	"namesake":        {bare: true},
	"namesake failed": {bare: true, failed: true},
	"impostor":        {nameless: true},
	"impostor failed": {nameless: true, failed: true},
	"sibling":         {sibling: true},
	"sibling failed":  {sibling: true, failed: true},
}

// unclear are the records that show no state. doubtful are those and the strangers'.
var (
	unclear  = []string{"linkless", "stateless", "flag 7", "linkless", "contrary"}
	doubtful = slices.Concat(sortedKeys(strangers), unclear, unclear)
)

// outsider is another customer's order.
var outsider = &order{
	id: strings.Repeat("f", 32), images: 2, shown: map[string]bool{},
	params: `{"prompt":"somebody else's picture","callBackUrl":"https://other.example/v1/callbacks/` + task.NewID("eve", "1") + `/1/k.xxx"}`,
}

// strangerFor returns the order whose record is answered instead of o's, or nil.
func (p *provider) strangerFor(o *order) *order {
	kind, is := strangers[o.record]
	if !is {
		return nil
	}
	if kind.sibling && !o.foreign { // else it might be the order of the task that asks
		for _, x := range slices.Backward(p.orders) {
			if x.task != o.task || x.attempt != o.attempt {
				return x
			}
		}
	}
	return outsider
}

// proof is what the parameters in a record show about whose it is.
type proof int

const (
	proves      proof = iota // it is the attempt's
	neutral                  // nothing
	contradicts              // it is not the attempt's, unless something else proves that it is
)

// echoes are the ways in which a record repeats the parameters.
var echoes = map[string]struct {
	proof  proof
	change func(o *order, sent map[string]any)
}{
	"":        {proves, nil},
	"respelt": {proves, func(_ *order, sent map[string]any) { sent["prompt"] = respell(sent["prompt"].(string)) }},
	"rewrote": {proves, func(_ *order, sent map[string]any) { sent["prompt"] = rewritten }},
	"relayed": {proves, readdress(func(own string) string { return strings.Replace(own, publicURL, "http://relay.test:8080/of/us", 1) })},
	"wrapped": {proves, readdress(func(own string) string { return "https://relay.test/?to=" + url.QueryEscape(own) + "&n=1" })},
	"renamed": {proves, func(_ *order, sent map[string]any) { sent["prompt"] = rewritten }}, // the record has another id, too
	"none":    {neutral, func(_ *order, sent map[string]any) { clear(sent) }},
	"promptly": {neutral, func(_ *order, sent map[string]any) {
		delete(sent, "callBackUrl")
		sent["prompt"] = respell(sent["prompt"].(string))
	}},
	"masked": {neutral, readdress(func(own string) string { return publicURL + "/v1/callbacks/***/***" })},
	"cut":    {neutral, readdress(func(own string) string { return own[:len(own)-20] })},
	"token ***": {neutral, readdress(func(own string) string {
		return own[:strings.LastIndex(own, "/")+1] + "***"
	})},
	"key gone": {neutral, func(o *order, sent map[string]any) {
		own := sent["callBackUrl"].(string)
		gone := token.Keys{{ID: "k", Key: "a key that is gone for long, it is"}}
		sent["callBackUrl"] = own[:strings.LastIndex(own, "/")+1] + gone.Sign(lifecycle.CallbackMessage(o.task, o.attempt))
	}},
	"rewritten": {contradicts, func(_ *order, sent map[string]any) { delete(sent, "callBackUrl"); sent["prompt"] = rewritten }},
	"elsewhere": {contradicts, readdress(func(string) string { return "https://relay.test/hooks/7" })},
}

// The usual prompt, and a rewritten one.
const (
	prompt    = "a lighthouse 灯台 & “the sea”"
	rewritten = "A photograph of something by the water, very detailed"
)

// respell returns a prompt as a relay may return it: escaped, and without characters that
// it does not know.
func respell(prompt string) string {
	return strings.NewReplacer(" ", "  ", "&", "&amp;", "灯台", "??", "“", "?", "”", "???").Replace(prompt)
}

func readdress(change func(own string) string) func(*order, map[string]any) {
	return func(_ *order, sent map[string]any) { sent["callBackUrl"] = change(sent["callBackUrl"].(string)) }
}

// anybodys reports whether the record could be any task's with that prompt.
func anybodys(echo string) bool { return echo == "none" || echo == "promptly" || echo == "masked" }

// repeated returns the parameters as an order's record repeats them.
func (o *order) repeated() string {
	change := echoes[o.echo].change
	if change == nil {
		return o.params
	}
	var sent map[string]any
	if err := json.Unmarshal([]byte(o.params), &sent); err != nil {
		panic(err)
	}
	change(o, sent)
	if len(sent) == 0 {
		return ""
	}
	b, err := json.Marshal(sent)
	if err != nil {
		panic(err)
	}
	return string(b)
}

// recorded answers a read of an order's record. proved reports whether the reader already
// knows that the order is the task's.
func (p *provider) recorded(o *order, proved bool) (got reply, as view) {
	if got, is := failures[o.record]; is {
		o.unreadable = true
		return got, unread
	}
	if x := p.strangerFor(o); x != nil {
		o.useless, o.disowned = true, o.disowned || !proved
		return p.strangersRecord(o, x), strange
	}
	proof := echoes[o.echo].proof
	o.anonymous = o.anonymous || anybodys(o.echo)
	values := fields{"data.taskId": o.id, "data.paramJson": o.repeated()}
	if o.echo == "renamed" {
		values["data.taskId"] = "another-name-of-it"
	}
	sample, as := o.stated(values)
	if proof == contradicts && !proved {
		as = strange
	}
	switch {
	case as == usable:
		o.learned(sample)
	case as == unusable && o.record == "stateless": // its links count after a while
		o.show(o.unstated)
	default:
		o.useless, o.disowned = true, o.disowned || !proved && proof != proves
	}
	return reply{status: 200, body: fill(sample, values)}, as
}

// countRecord counts the records answered, and their views.
func (sim *simulation) countRecord(o *order, as view, proved bool) {
	sim.count("a record is "+viewNames[as]+map[bool]string{true: ", proved", false: ", unproved"}[proved], true)
	sim.count("a record: "+o.record, o.record != "" && (o.done() || as == strange || as == unread))
	sim.count("a record repeats: "+o.echo, o.echo != "" && as != unread)
	sim.count("a record: stale", o.stale && as == usable)
}

// stated adds the order's state to a record's values, and returns the sample to fill.
func (o *order) stated(values fields) (sample string, as view) {
	running := o.flag == nanobananatest.FlagRunning
	switch made := o.flag == nanobananatest.FlagSucceeded; {
	case made && o.record == "failed": // it takes a success back
		values["data.errorCode"], values["data.errorMessage"] = 501, "Image generation task failed"
		return "record-failed", usable
	case running, o.record == "running":
		return "record-running", usable
	case !made:
		values["data.errorCode"], values["data.errorMessage"] = o.code, o.text
		return "record-failed", usable
	}
	as = usable
	urls, name := o.recordURLs(), "resultImageUrl"
	switch o.record {
	case "linkless":
		urls = nil
	case "guessed":
		name = "finalFiles"
	case "flag 7":
		values["data.successFlag"], as = 7, unusable
	case "stateless":
		values["data.successFlag"], as = nil, unusable
	case "contrary":
		values["data.successFlag"], as = 3, unusable
	}
	values["data.response"] = map[string]any{"originImageUrl": nil, name: urls}
	if len(urls) == 0 {
		as = unusable
	}
	return "record-success", as
}

// recordURLs returns the URLs in its record.
func (o *order) recordURLs() []string {
	urls := o.urlsAt(o.links)
	switch {
	case o.stale:
		urls = o.urlsAt(o.links - 1)
	case o.record == "short":
		urls = urls[:len(urls)-1]
	}
	return urls
}

func (o *order) show(to map[string]bool) {
	for _, u := range o.recordURLs() {
		to[u] = true
	}
}

// learned notes what a usable record has shown.
func (o *order) learned(sample string) {
	switch sample {
	case "record-failed":
		o.broken = true
		o.lied = o.lied || o.flag == nanobananatest.FlagSucceeded
	case "record-running":
		o.lied = o.lied || o.flag != nanobananatest.FlagRunning
	default:
		o.show(o.shown)
	}
}

// strangersRecord returns the record of x, answered instead of o's.
func (p *provider) strangersRecord(o, x *order) reply {
	kind := strangers[o.record]
	values := fields{"data.taskId": x.id, "data.paramJson": x.params}
	if kind.bare {
		values["data.paramJson"] = ""
	}
	if kind.nameless {
		values["data.taskId"] = o.id
	}
	if kind.failed {
		values["data.errorCode"], values["data.errorMessage"] = 501, "Image generation task failed"
		return reply{status: 200, body: fill("record-failed", values)}
	}
	values["data.response"] = map[string]any{"originImageUrl": nil, "resultImageUrl": x.urls()}
	return reply{status: 200, body: fill("record-success", values)}
}
