package nanobanana_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"github.com/preset/nanobanana-functions/shared/nanobanana"
	"github.com/preset/nanobanana-functions/shared/nanobanana/nanobananatest"
	"github.com/preset/nanobanana-functions/shared/outbound"
)

// Each call of the provider is one log line, without the key and without a link.
func TestCallsAreLogged(t *testing.T) {
	status := func(code int) nanobananatest.Fault {
		return nanobananatest.Fault{Kind: nanobananatest.FaultStatus, Code: code}
	}
	for name, test := range map[string]struct {
		fault nanobananatest.Fault
		want  string // of each call
	}{
		"answers":          {nanobananatest.Fault{}, "200 ok"},
		"429":              {status(429), "429 rate_limited"},
		"500":              {status(500), "500 server_error"},
		"a page":           {nanobananatest.Fault{Kind: nanobananatest.FaultRaw, Code: 502, Message: "<html>"}, "502 server_error"},
		"a reset":          {nanobananatest.Fault{Kind: nanobananatest.FaultReset}, "0 transport"},
		"a page as answer": {nanobananatest.Fault{Kind: nanobananatest.FaultHTML}, "200 unreadable"},
	} {
		t.Run(name, func(t *testing.T) {
			sim := nanobananatest.NewServer(func(k *nanobananatest.Knobs) { k.Submit, k.Record, k.Credit = test.fault, test.fault, test.fault })
			defer sim.Close()
			var log bytes.Buffer
			client := &nanobanana.Client{BaseURL: sim.URL, HTTP: outbound.NewClient(), Log: slog.New(slog.NewJSONHandler(&log, nil))}
			id, err := client.Submit(t.Context(), nanobananatest.DefaultKey, nanobanana.Request{Model: "nano-banana", Prompt: "a secret prompt", NumImages: 1, CallbackURL: "https://example.com/v1/callbacks/x"})
			if (err == nil) != (name == "answers") {
				t.Fatal(err)
			}
			_, _ = client.Record(t.Context(), nanobananatest.DefaultKey, id+"x")
			if err == nil {
				log.Reset()
				_, _ = client.Submit(t.Context(), nanobananatest.DefaultKey, nanobanana.Request{Model: "nano-banana", Prompt: "a", NumImages: 1, CallbackURL: "https://example.com/v1/callbacks/x"})
				_, _ = client.Record(t.Context(), nanobananatest.DefaultKey, id)
			}
			_, _ = client.Credits(t.Context(), nanobananatest.DefaultKey)
			var got []string
			for line := range strings.Lines(log.String()) {
				var l struct {
					Level, Event, Call, Outcome string
					Ms                          *float64
					ProviderCode                int
				}
				if err := json.Unmarshal([]byte(line), &l); err != nil || l.Event != nanobanana.EventCalled || l.Ms == nil || l.Level != "INFO" {
					t.Errorf("%v: %s", err, line)
				}
				got = append(got, fmt.Sprint(l.Call, " ", l.ProviderCode, " ", l.Outcome))
			}
			if want := "submit " + test.want + ", record " + test.want + ", credits " + test.want; strings.Join(got, ", ") != want {
				t.Errorf("%q, want %s", got, want)
			}
			for _, secret := range []string{nanobananatest.DefaultKey, "secret prompt", "callbacks", sim.URL} {
				if strings.Contains(log.String(), secret) {
					t.Errorf("the log has %q: %s", secret, log.String())
				}
			}
		})
	}
}
