package ops

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"net/http"
	"slices"
	"sync"
	"time"

	"github.com/aws/smithy-go"

	"github.com/preset/nanobanana-functions/shared/outbound"
)

var checkCommand = Command{
	Name: "check", Short: "after a deploy: does everything work? Costs nothing",
	Rights: checkRights,
	Setup: func(*flag.FlagSet) Run {
		return func(ctx context.Context, e *Env, _ []string) (Result, error) {
			return check(ctx, e)
		}
	},
}

// checkTime bounds each probe; all run at the same time.
const checkTime = 25 * time.Second

// A state is what a probe found.
type state string

const (
	good    state = "ok"
	problem state = "problem" // somebody must do something
	unseen  state = "unseen"  // it cannot be looked at here, so nobody knows
	off     state = "off"     // it does not apply
)

// finding is what one probe found.
type finding struct {
	Name  string `json:"name"`
	State state  `json:"state"`
	Text  string `json:"text"`
	Do    string `json:"do,omitempty"` // the next step of a problem
	next  string // a command of bin/ops that is this step
}

func ok(format string, args ...any) finding {
	return finding{State: good, Text: fmt.Sprintf(format, args...)}
}

// bad is a problem, and what to do about it.
func bad(do, format string, args ...any) finding {
	return finding{State: problem, Text: fmt.Sprintf(format, args...), Do: do}
}

func hidden(format string, args ...any) finding {
	return finding{State: unseen, Text: fmt.Sprintf(format, args...)}
}

func without(format string, args ...any) finding {
	return finding{State: off, Text: fmt.Sprintf(format, args...)}
}

// probe looks at one thing.
type probe struct {
	name string
	look func(c *checker, ctx context.Context) finding
}

// checker is what probes share.
type checker struct {
	*Env
	http   *http.Client
	public func() (string, error) // where the API is called from outside
	stack  func() (deployed, error)
}

// checked is what check found.
type checked struct {
	Findings []finding `json:"findings"`
	Problems int       `json:"problems"`
}

func check(ctx context.Context, e *Env) (Result, error) {
	c := &checker{Env: e, http: outbound.NewClient()}
	c.stack = sync.OnceValues(func() (deployed, error) { return e.deployed(ctx) })
	c.public = sync.OnceValues(c.findPublic)
	probes := runProbes
	if e.Stack != nil {
		probes = slices.Concat(runProbes, stackProbes)
	}
	r := checked{Findings: make([]finding, len(probes))}
	var wait sync.WaitGroup
	for i, p := range probes {
		wait.Go(func() {
			ctx, cancel := context.WithTimeout(ctx, checkTime)
			defer cancel()
			r.Findings[i] = p.look(c, ctx)
			r.Findings[i].Name = p.name
		})
	}
	wait.Wait()
	result := Result{}
	for _, f := range r.Findings {
		if f.State == problem {
			r.Problems++
			result.Exit = NeedsYou
			if result.Next == "" {
				result.Next = f.next
			}
		}
	}
	result.Report = r
	return result, nil
}

// Print implements Report.
func (r checked) Print(p *Page) {
	seen := 0
	for _, f := range r.Findings {
		mark := map[state]string{good: "ok", problem: "PROBLEM", unseen: "not seen", off: "-"}[f.State]
		p.Field(f.Name, "%s: %s", mark, f.Text)
		if f.Do != "" {
			p.Field("", "%s", f.Do)
		}
		if f.State == unseen {
			seen++
		}
	}
	p.Blank()
	switch {
	case r.Problems == 0 && seen == 0:
		p.Line("All is well.")
	case r.Problems == 0:
		p.Line("No problem was found; what was not seen may be one.")
	default:
		p.Line("%s.", Count(r.Problems, "problem"))
	}
}

// cannotSee is the finding for an error of AWS, which right would have shown it.
func (c *checker) cannotSee(err error, right string) finding {
	api, isAPI := errors.AsType[smithy.APIError](err)
	switch {
	case isAPI && api.ErrorCode() == "ResourceNotFoundException":
		return bad("Deploy the stack again: make deploy.", "does not exist")
	case onStandIn(c.Stack.AWS):
		return hidden("the stand-in of AWS does not show it")
	case isAPI && denied[api.ErrorCode()]:
		return hidden("your AWS credentials may not look at it: it needs %s", right)
	case isAPI:
		return hidden("AWS does not show it: %s", api.ErrorCode())
	}
	return hidden("%v", printable(err, "AWS"))
}

// denied are the codes with which AWS's services refuse a caller without the right.
var denied = map[string]bool{"AccessDenied": true, "AccessDeniedException": true, "AuthorizationError": true, "UnauthorizedOperation": true}
