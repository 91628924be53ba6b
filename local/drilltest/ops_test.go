package drilltest

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"iter"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/preset/nanobanana-functions/local/ops"
	"github.com/preset/nanobanana-functions/local/ops/vault"
	"github.com/preset/nanobanana-functions/shared/nanobanana/nanobananatest"
	"github.com/preset/nanobanana-functions/shared/outbound"
)

// Ops runs the command in this process, as a local run does that gets one.
func (h *hours) Ops(input string, words ...string) (string, int) {
	var said bytes.Buffer
	exit := ops.Main(context.Background(), append(slices.Clone(words), "-data", "drill"), ops.Options{
		Getenv: func(string) string { return "" }, In: strings.NewReader(input), Out: &said, Err: &said,
		OpenData: func(string, bool) (*ops.Env, func() error, error) {
			return &ops.Env{
				Store: h.store, Settings: h.settings, Secrets: h.secrets, Service: h.service, Secret: h.secret, Logs: lines(h.Logs()),
				Name: "the drill", Now: outbound.WallClock,
			}, func() error { return nil }, nil
		},
	})
	return said.String(), int(exit)
}

// lines are an ops.Logs of the whole log.
type lines string

func (l lines) Lines(_ context.Context, q ops.LogQuery) iter.Seq2[ops.LogLine, error] {
	return func(yield func(ops.LogLine, error) bool) {
		for raw := range strings.Lines(string(l)) {
			x := ops.LogLine{Raw: json.RawMessage(raw)}
			if json.Unmarshal(x.Raw, &x) != nil || x.Time.Before(q.Since) || q.Task != "" && x.Task != q.Task || len(q.Events) > 0 && !slices.Contains(q.Events, x.Event) {
				continue
			}
			if !yield(x, nil) {
				return
			}
		}
	}
}

func (l lines) Begin(context.Context) (time.Time, error) { return time.Time{}, nil }

// document is the service's secret, as Secrets Manager keeps it.
type document struct {
	mu      sync.Mutex
	value   []byte
	version int
}

func newDocument() *document {
	keys := func(letter string) []map[string]string {
		return []map[string]string{{"id": letter, "key": strings.Repeat(letter, 36)}}
	}
	value, _ := json.Marshal(map[string]any{
		"apiKey": nanobananatest.DefaultKey, "callbackKeys": keys("c"), "imageKeys": keys("i"), "notifyKeys": keys("n"),
	})
	return &document{value: value, version: 1}
}

func (d *document) read(context.Context) ([]byte, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.value, nil
}

func (d *document) Read(context.Context) (vault.Version, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	return vault.Version{ID: fmt.Sprint(d.version), Created: time.Now(), ReadAt: time.Now(), Value: d.value}, nil
}

func (d *document) Swap(_ context.Context, was vault.Version, value []byte) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if was.ID != fmt.Sprint(d.version) {
		return vault.ErrChanged
	}
	d.value, d.version = value, d.version+1
	return nil
}
