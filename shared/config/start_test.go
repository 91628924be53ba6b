package config_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"log/slog"
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/preset/nanobanana-functions/shared/config"
)

// TestStart runs itself as a function that cannot start, because its settings are
// faulty or build fails.
func TestStart(t *testing.T) {
	if os.Getenv("START_TEST") != "" {
		config.Start(func(config.Settings, *slog.Logger, func(...config.Step)) (any, error) {
			return nil, errors.New("no such table")
		}, config.NeedTable)
		t.Fatal("Start returned")
	}
	for name, test := range map[string]struct{ env, want string }{
		"faulty settings": {"DAILY_QUOTA=many", "TABLE is missing"},
		"a failing build": {"TABLE=t", "no such table"},
		"two faults":      {"DAILY_QUOTA=many", "DAILY_QUOTA is not"},
	} {
		t.Run(name, func(t *testing.T) {
			cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestStart$")
			cmd.Env = []string{"START_TEST=1", "GORACE=atexit_sleep_ms=0", "METRICS_NAMESPACE=nanobanana/test", test.env}
			out, err := cmd.Output()
			if exit, ok := errors.AsType[*exec.ExitError](err); !ok || exit.ExitCode() != 1 {
				t.Errorf("exited with %v", err)
			}
			var line struct {
				Level, Msg, Error string
				Errors            int // the metric
			}
			if err := json.Unmarshal(out, &line); err != nil || line.Level != "ERROR" || !strings.Contains(line.Error, test.want) {
				t.Errorf("not one line of JSON about %q: %v\n%s", test.want, err, out)
			}
			if line.Errors != 1 || !bytes.Contains(out, []byte(`"Namespace":"nanobanana/test"`)) {
				t.Errorf("the line is not counted: %s", out)
			}
		})
	}
}
