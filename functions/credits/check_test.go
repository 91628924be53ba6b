package credits_test

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/aws/aws-lambda-go/events"

	"github.com/preset/nanobanana-functions/functions/credits"
	"github.com/preset/nanobanana-functions/shared/nanobanana/nanobananatest"
)

// The schedule's check says in the log what there is, and louder when it is low.
func TestCheck(t *testing.T) {
	for name, test := range map[string]struct {
		balance   float64
		low       bool
		level, is string
	}{
		"enough":  {100, false, "INFO", `"msg":"credits",`},
		"low":     {99.5, true, "WARN", `"msg":"credits are low",`},
		"nothing": {0, true, "WARN", `"msg":"credits are low",`},
	} {
		t.Run(name, func(t *testing.T) {
			s := serve(t)
			s.Sim.SetBalance(test.balance)
			s.Logged.Take()
			got, err := credits.OnLambda(s.function)(t.Context(), json.RawMessage(`{"check":"credits"}`))
			if err != nil || got != (credits.Checked{Balance: test.balance, Low: test.low}) {
				t.Errorf("got %+v, %v", got, err)
			}
			line := s.Logged.Take()
			if !strings.Contains(line, test.is) || !strings.Contains(line, `"level":"`+test.level+`"`) || strings.Count(line, "\n") != 1 {
				t.Errorf("logged %s", line)
			}
		})
	}
}

// A balance that cannot be had fails the run: the schedule's errors are counted.
func TestCheckFails(t *testing.T) {
	s := serve(t, func(k *nanobananatest.Knobs) { k.Credit = nanobananatest.Fault{Kind: nanobananatest.FaultHTML} })
	if got, err := s.function.Check(t.Context()); err == nil {
		t.Errorf("got %+v", got)
	}
	if line := s.Logged.Take(); !strings.Contains(line, "credits are not known") {
		t.Errorf("logged %s", line)
	}
}

// The gateway's events come to the same function.
func TestOnLambdaServes(t *testing.T) {
	s := serve(t)
	event := `{"version":"2.0","rawPath":"/v1/models","requestContext":{"domainName":"api.example.com","requestId":"r","http":{"method":"GET","path":"/v1/models"}}}`
	got, err := credits.OnLambda(s.function)(t.Context(), json.RawMessage(event))
	answer, ok := got.(events.APIGatewayV2HTTPResponse)
	if err != nil || !ok || answer.StatusCode != 200 || !strings.Contains(answer.Body, "nano-banana-pro") {
		t.Errorf("got %+v, %v", got, err)
	}
	if got, err := credits.OnLambda(s.function)(t.Context(), json.RawMessage(`[]`)); err == nil {
		t.Errorf("no event at all: %+v", got)
	}
}
