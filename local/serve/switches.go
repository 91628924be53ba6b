package serve

import (
	"maps"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/preset/nanobanana-functions/shared/httpapi"
	"github.com/preset/nanobanana-functions/shared/nanobanana/nanobananatest"
	"github.com/preset/nanobanana-functions/shared/task"
)

// switches are what the studio page can change about the simulator.
type switches struct {
	LoseCallbacks   bool   `json:"loseCallbacks"`
	RepeatCallbacks int    `json:"repeatCallbacks"` // how often each is sent, 1 to 5
	Refuse          string `json:"refuse"`          // a key of refusals
	Slow            bool   `json:"slow"`
	Manifest        bool   `json:"manifest"` // pictures carry a C2PA manifest
}

// refusals are the ways in which the simulator can refuse or fail requests.
var refusals = map[string]func(*nanobananatest.Knobs){
	"":        func(*nanobananatest.Knobs) {},
	"credits": func(k *nanobananatest.Knobs) { k.OutOfCredits = true },
	"rateLimit": func(k *nanobananatest.Knobs) {
		k.Submit = nanobananatest.Fault{Kind: nanobananatest.FaultStatus, Code: 429, RetryAfter: nanobananatest.Duration(20 * time.Second)}
	},
	"maintenance": func(k *nanobananatest.Knobs) {
		k.Submit = nanobananatest.Fault{Kind: nanobananatest.FaultStatus, Code: 455}
	},
	"policy":     func(k *nanobananatest.Knobs) { k.Outcome.ErrorCode = 400 },
	"generation": func(k *nanobananatest.Knobs) { k.Outcome.ErrorCode = 501 },
	"unclear": func(k *nanobananatest.Knobs) { // accepted, but the answer is lost
		k.Submit = nanobananatest.Fault{Kind: nanobananatest.FaultReset, Accepted: true}
	},
}

// How long the simulator takes to make a picture.
const (
	usualDelay = nanobananatest.Duration(2 * time.Second)
	slowDelay  = nanobananatest.Duration(25 * time.Second)
)

// switchboard sets the simulator's knobs.
type switchboard struct {
	simulator *nanobananatest.Server

	mu  sync.Mutex
	now switches
}

func (b *switchboard) set(s switches) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.now = s
	b.simulator.SetKnobs(func(k *nanobananatest.Knobs) {
		k.LoseCallbacks, k.RepeatCallbacks = s.LoseCallbacks, s.RepeatCallbacks
		k.OutOfCredits, k.Submit, k.Outcome = false, nanobananatest.Fault{}, nanobananatest.Outcome{}
		refusals[s.Refuse](k)
		k.Manifest = s.Manifest
		k.Delay = usualDelay
		if s.Slow {
			k.Delay = slowDelay
		}
	})
}

// read answers GET /local/simulator.
func (b *switchboard) read(*http.Request) (httpapi.Answer, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return httpapi.Answer{Body: b.now}, nil
}

// write answers PUT /local/simulator.
func (b *switchboard) write(r *http.Request) (httpapi.Answer, error) {
	s, err := httpapi.Decode[switches](r, 1<<10, nil)
	if err != nil {
		return httpapi.Answer{}, err
	}
	var faults []task.Field
	if s.RepeatCallbacks < 1 || s.RepeatCallbacks > 5 {
		faults = append(faults, task.Field{Pointer: "/repeatCallbacks", Code: "out_of_range", Message: "Use a number from 1 to 5."})
	}
	if refusals[s.Refuse] == nil {
		words := slices.DeleteFunc(slices.Sorted(maps.Keys(refusals)), func(word string) bool { return word == "" })
		faults = append(faults, task.Field{Pointer: "/refuse", Code: "not_allowed", Message: "Use an empty text, or one of: " + strings.Join(words, ", ") + "."})
	}
	if faults != nil {
		return httpapi.Answer{}, task.Invalid(faults...)
	}
	b.set(s)
	return httpapi.Answer{Body: s}, nil
}
