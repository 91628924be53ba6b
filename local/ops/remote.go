package ops

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/preset/nanobanana-functions/shared/outbound"
)

// RemotePath is where a local run takes commands. It is for programs on its own machine.
const RemotePath = "/local/ops"

// defaultAddr is where bin/local listens if it is told nothing else.
const defaultAddr = "127.0.0.1:8787"

// remoteTimeout is the limit of one command in the process of a local run, which ends its
// requests after a minute.
const remoteTimeout = 55 * time.Second

// maxOutput bounds what a local run answers.
const maxOutput = 32 << 20

// order is the body of a request to RemotePath.
type order struct {
	Words  []string `json:"words"`
	Input  []byte   `json:"input,omitempty"`
	Answer string   `json:"answer,omitempty"`
}

// remote runs a command in the process of a local run.
type remote struct {
	addr  string // empty: the default one
	words []string
}

func (x remote) run(ctx context.Context, input []byte, answer string) (out output, err error) {
	addr := x.addr
	if addr == "" {
		addr = defaultAddr
	}
	if !outbound.OnLoopback(addr) {
		return out, Usagef("-addr %s is not on this machine: a local run takes commands from its own machine alone", addr)
	}
	body, err := json.Marshal(order{Words: x.words, Input: input, Answer: answer})
	if err != nil {
		return out, err
	}
	ctx, cancel := context.WithTimeout(ctx, remoteTimeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://"+addr+RemotePath, bytes.NewReader(body))
	if err != nil {
		return out, Usagef("-addr %s is no address: write HOST:PORT", addr)
	}
	req.Header.Set("Content-Type", "application/json")
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}} // no proxy
	resp, err := client.Do(req)
	switch {
	case err != nil && ctx.Err() == nil && x.addr == "":
		return out, Usagef("which run? Set STACK=name, or name a stopped local run's folder with -data FOLDER; no local run answers at %s", addr)
	case err != nil && ctx.Err() == nil:
		return out, fmt.Errorf("no local run answers at %s. If it is stopped, name its folder with -data", addr)
	case err != nil:
		return out, fmt.Errorf("the local run at %s did not answer in time", addr)
	}
	defer resp.Body.Close()
	answered, err := io.ReadAll(io.LimitReader(resp.Body, maxOutput+1))
	switch {
	case err != nil || len(answered) > maxOutput:
		return out, fmt.Errorf("the answer of the local run at %s cannot be read", addr)
	case resp.StatusCode == http.StatusNotFound || resp.StatusCode == http.StatusMethodNotAllowed:
		return out, fmt.Errorf("what answers at %s takes no commands: restart bin/local, so that it is of this release", addr)
	case resp.StatusCode == http.StatusForbidden:
		return out, fmt.Errorf("the local run at %s refuses: it takes commands from its own machine alone, without a tunnel or a proxy", addr)
	case resp.StatusCode != http.StatusOK:
		return out, fmt.Errorf("the local run at %s answered with status %d", addr, resp.StatusCode)
	}
	if err := json.Unmarshal(answered, &out); err != nil {
		return out, fmt.Errorf("what answers at %s is no local run", addr)
	}
	return out, nil
}

// Handler runs the commands that bin/ops sends to a local run, on e. The caller guards it
// as it guards its page: see RemotePath.
func Handler(e *Env) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var o order
		body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, 2*maxInput))
		if err == nil {
			err = json.Unmarshal(body, &o)
		}
		// A page's form cannot send this type.
		if err != nil || !strings.HasPrefix(r.Header.Get("Content-Type"), "application/json") {
			http.Error(w, "this is for bin/ops", http.StatusBadRequest)
			return
		}
		ctx, cancel := context.WithTimeout(r.Context(), remoteTimeout)
		defer cancel()
		var out output
		if req, _, err := parse(o.Words); err != nil {
			out = failure(errors.Join(err, errors.New("bin/ops and the local run are of different releases: restart bin/local")))
		} else {
			out, _ = req.on(e)(ctx, o.Input, o.Answer)
		}
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(out) // bin/ops may have gone
	})
}
