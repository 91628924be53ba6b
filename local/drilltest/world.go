// Package drilltest plays the faults that an operator is paged for, and what the runbook
// says to do about each. A scenario runs over any [World]: over the functions in one
// process, in synctest's time, in which it lasts for hours; and over the binaries as
// deployed (functions/deployed), where it takes a minute. The assertions are the same.
package drilltest

import (
	"encoding/json"
	"io"
	"net/http"
	"sync"
	"time"

	"github.com/preset/nanobanana-functions/shared/nanobanana/nanobananatest"
	"github.com/preset/nanobanana-functions/shared/task"
)

// World is everything that is deployed, with what it works with, and time.
type World interface {
	// Now is the time in this world.
	Now() time.Time
	// Step is how long to wait between two looks at something that has not come for so long.
	Step(waited time.Duration) time.Duration
	// Wait lets time pass, in which the schedules run.
	Wait(d time.Duration)
	// Call makes a request of a user's to the API.
	Call(method, path string, body any, key string) (status int, answer []byte)
	// Row returns a task's row.
	Row(id string) *task.Task
	// Ops runs a command of bin/ops with this on its standard input.
	Ops(input string, words ...string) (said string, exit int)
	// Metrics are all metrics since the beginning.
	Metrics() []Datum
	// Break begins or ends a fault of AWS.
	Break(f Fault, is bool)
	// Get returns what is behind a link.
	Get(link string) []byte
	// Provider is the simulated provider.
	Provider() *nanobananatest.Server
	// Preset is who gets the notices.
	Preset() *Preset
	// Logs are all lines of the functions, for people who look for a failure's reason.
	Logs() string
}

// A Fault is one of AWS.
type Fault string

// The faults.
const (
	BucketRefuses  Fault = "the bucket refuses writes"
	TableThrottled Fault = "writes to the table are throttled"
	SweepOff       Fault = "the sweep's schedule is off"
)

// Preset is the server that gets the notices.
type Preset struct {
	mu   sync.Mutex // guards what follows
	down bool
	told map[string][]string // types of the notices, by task
}

// SetDown makes the server refuse notices, or accept them.
func (p *Preset) SetDown(down bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.down = down
}

// Told returns the types of the notices about a task that were accepted.
func (p *Preset) Told(id string) []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.told[id]
}

func (p *Preset) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, 1<<20))
	var notice struct {
		Type string
		Data struct{ ID string }
	}
	if err != nil || json.Unmarshal(body, &notice) != nil {
		w.WriteHeader(http.StatusBadRequest)
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.down {
		w.WriteHeader(http.StatusServiceUnavailable)
		return
	}
	if p.told == nil {
		p.told = map[string][]string{}
	}
	p.told[notice.Data.ID] = append(p.told[notice.Data.ID], notice.Type)
}
