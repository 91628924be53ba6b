package template_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/preset/nanobanana-functions/shared/lifecycle"
)

// fakeLogs replaces AWS's command: its log has three notices that were given
// up, one of them twice, and its function answers as the test says.
const fakeLogs = `#!/bin/sh
for arg; do printf '<%s>' "$arg" >>"$KEPT/calls"; done
echo >>"$KEPT/calls"
case "$2" in
describe-stacks) echo '{"Stacks":[{"Outputs":[{"OutputKey":"Logs","OutputValue":"the-logs"}]}]}' ;;
describe-stack-resource) echo '{"StackResourceDetail":{"PhysicalResourceId":"the-sweep"}}' ;;
filter-log-events) cat "$KEPT/log" ;;
invoke) shift 8; echo "$FAILED" >"$1"; echo '{"StatusCode":200}' ;;
*) exit 1 ;;
esac
`

const threeGivenUpLog = `{"events":[{"message":"{\"task\":\"a\"}"},{"message":"{\"task\":\"b\"}"},{"message":"{\"task\":\"a\"}"},{"message":"{\"task\":\"c\"}"}]}`

// runRedrive runs the script of make redrive with fakeLogs.
func runRedrive(t *testing.T, log, answer string, args ...string) (calls, said string, err error) {
	t.Helper()
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "log"), []byte(log), 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := scriptCommand(t, dir, fakeLogs, "redrive.py", args...)
	cmd.Env = append(cmd.Env, "FAILED="+answer)
	out, err := cmd.CombinedOutput()
	b, _ := os.ReadFile(filepath.Join(dir, "calls"))
	return string(b), string(out), err
}

func TestRedrive(t *testing.T) {
	calls, said, err := runRedrive(t, threeGivenUpLog, `{"Done":3,"Failed":0}`, "a-stack", "2026-03-14")
	if err != nil || !strings.Contains(said, "3 of 3 notices") {
		t.Fatalf("%v: %s", err, said)
	}
	for _, want := range []string{
		`<--log-group-name><the-logs><--start-time><1773446400000><--filter-pattern><{ $.event = "` + lifecycle.EventNoticeGivenUp + `" }>`,
		`<--function-name><the-sweep>`, `<{"redrive": ["a", "b", "c"]}>`,
	} {
		if !strings.Contains(calls, want) {
			t.Errorf("called\n%s, without %s", calls, want)
		}
	}
	if calls, said, err := runRedrive(t, `{"events":[]}`, "", "a-stack"); err != nil || strings.Contains(calls, "invoke") || !strings.Contains(said, "0 of 0") {
		t.Errorf("with none given up: %v, %s, called\n%s", err, said, calls)
	}
	if _, said, err := runRedrive(t, threeGivenUpLog, `{"Done":3,"Failed":1}`, "a-stack"); err == nil || !strings.Contains(said, "2 of 3 notices") {
		t.Errorf("with one that failed: %v, %s", err, said)
	}
	if calls, said, err := runRedrive(t, threeGivenUpLog, "", "a-stack", "yesterday"); err == nil || calls != "" || strings.Contains(said, "Traceback") {
		t.Errorf("with no day: %v, %s, called\n%s", err, said, calls)
	}
}
