package deployed_test

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"github.com/preset/nanobanana-functions/functions/deployed/lambdatest"
)

// requiredSettings are the settings that each function cannot start without.
var requiredSettings = map[string][]string{
	"submit":   {"TABLE", "BUCKET", "SECRET_ARN", "AUTH_ISSUER"},
	"tasks":    {"TABLE", "SECRET_ARN", "AUTH_ISSUER"},
	"credits":  {"TABLE", "SECRET_ARN", "AUTH_ISSUER"},
	"callback": {"TABLE", "SECRET_ARN"},
	"images":   {"BUCKET", "SECRET_ARN"},
	"uploads":  {"TABLE", "BUCKET", "SECRET_ARN", "AUTH_ISSUER"},
	"sweep":    {"TABLE", "BUCKET", "SECRET_ARN"},
	"ingest":   {"TABLE", "BUCKET"},
	"notify":   {"TABLE", "SECRET_ARN"},
	"mcp":      {"TABLE", "BUCKET", "SECRET_ARN", "AUTH_ISSUER"},
}

// A function with missing or malformed settings does not start. It logs one
// line that names each of them and contains none of their values.
func TestColdStartStops(t *testing.T) {
	t.Parallel()
	const hidden = "hunter2"
	malformed := map[string]string{
		"PUBLIC_URL": "https://" + hidden + ".example\n", "DAILY_QUOTA": hidden, "WAIT_MAX": "21", "POLL_EVERY": "1s",
		"NOTIFY_URL": "https://user:" + hidden + "@example.com", "RESULT_HOSTS": "https://" + hidden, "PRICES": hidden,
		"LOG_LEVEL": hidden, "AUTH_JWKS_URL": "ftp://" + hidden, "CORS_ORIGINS": "https://a.example/" + hidden,
	}
	for name := range readTemplate(t).functions {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			needs := requiredSettings[name]
			if len(needs) == 0 {
				t.Fatal("requiredSettings lacks this function")
			}
			f := lambdatest.NewFunction(lambdatest.Config{Name: name, Path: buildBootstrap(t, name), Env: malformed})
			defer f.Close()
			_, err := f.Invoke(t.Context(), []byte(`{}`))
			if e, ok := errors.AsType[*lambdatest.Error](err); !ok || e.Type != "Runtime.ExitError" || e.Message != "exit status 1" {
				t.Errorf("ended with %v", err)
			}
			var line struct{ Level, Msg, Error string }
			log := f.Log()
			if err := json.Unmarshal([]byte(log), &line); err != nil || line.Level != "ERROR" || line.Msg != "cannot start" {
				t.Fatalf("not one line of JSON: %v\n%s", err, log)
			}
			for faulty := range malformed {
				if !strings.Contains(line.Error, faulty+" ") {
					t.Errorf("%s is not named", faulty)
				}
			}
			for _, need := range needs {
				if !strings.Contains(line.Error, need+" is missing") {
					t.Errorf("%s is not named", need)
				}
			}
			if strings.Contains(log, hidden) {
				t.Errorf("a value is shown: %s", log)
			}
		})
	}
}
