package mcp

import (
	"crypto/sha256"
	"encoding/json"
	"fmt"

	sdk "github.com/modelcontextprotocol/go-sdk/mcp"

	"github.com/preset/nanobanana-functions/shared/httpapi"
	"github.com/preset/nanobanana-functions/shared/task"
)

// asksSince is the protocol's version from which on a server can ask the user without
// a session: the question is a call's result, and the call is repeated with the answer.
const asksSince = "2026-07-28"

// confirm returns the question that the user has to answer before an order above
// CONFIRM_CREDITS is placed, or nil if the order can be placed. A declined order is an
// error. Clients that cannot ask place the order as it is.
func (c call) confirm(a generateArguments) (sdk.InputRequestMap, error) {
	limit := c.Settings.ConfirmCredits
	if limit == 0 || !c.canAsk() {
		return nil, nil
	}
	q, err := c.quoteOrder(a)
	switch {
	case err != nil:
		return nil, err
	case q.Estimate == nil || *q.Estimate <= float64(limit):
		return nil, nil
	case len(q.Problems) > 0: // nobody is asked about an order that is refused anyway
		return nil, problemOf(q.Problems[0])
	case q.Task != nil: // ordered already: nothing more is charged
		return nil, nil
	}
	return c.ask(a, *q.Estimate)
}

// ask returns the question, or nil once the user has said yes to it.
func (c call) ask(a generateArguments, price float64) (sdk.InputRequestMap, error) {
	id, err := questionID(a, price)
	if err != nil {
		return nil, err
	}
	switch answer, _ := c.message.Params.InputResponses[id].(*sdk.ElicitResult); {
	case answer == nil:
		return sdk.InputRequestMap{id: &sdk.ElicitParams{
			Mode: "form", Message: question(a.order, price), RequestedSchema: json.RawMessage(`{"type":"object","properties":{}}`),
		}}, nil
	case answer.Action != "accept":
		return nil, &task.Error{Code: task.CodeCanceled, Fields: []task.Field{{
			Pointer: "/confirmation", Code: "declined", Message: fmt.Sprintf("The user did not confirm %s credits. Nothing was ordered.", task.Credits(price)),
		}}}
	}
	return nil, nil
}

// canAsk reports whether the client can ask its user in a form.
func (c call) canAsk() bool {
	client := c.message.Session.InitializeParams()
	if client == nil || client.ProtocolVersion < asksSince {
		return false
	}
	can := c.message.ClientCapabilities()
	return can != nil && can.Elicitation != nil && (can.Elicitation.Form != nil || can.Elicitation.URL == nil)
}

// questionID returns an id for the question about exactly this order at this price, so
// that no answer counts for another.
func questionID(a generateArguments, price float64) (string, error) {
	content, err := httpapi.Encode(struct {
		generateArguments
		Price float64 `json:"price"`
	}{a, price})
	return fmt.Sprintf("confirm-%x", sha256.Sum256(content))[:32], err
}

func question(o order, price float64) string {
	n := 1
	if o.NumImages != nil {
		n = *o.NumImages
	}
	what := "This picture costs"
	if n > 1 {
		what = fmt.Sprintf("These %d pictures cost", n)
	}
	return fmt.Sprintf("%s %s credits. Order now? The prompt: %s", what, task.Credits(price), quote(shorten(o.Prompt)))
}
