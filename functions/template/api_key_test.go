package template_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// anAWS stands in for AWS's command: it writes down what it was called with,
// shows a stack and a secret, and keeps what it is given.
const anAWS = `#!/bin/sh
echo "$*" >>"$KEPT/calls"
case "$2" in
describe-stacks) echo '{"Stacks":[{"Outputs":[{"OutputKey":"Url","OutputValue":"u"},{"OutputKey":"Secret","OutputValue":"arn:the-secret"}]}]}' ;;
get-secret-value) echo '{"SecretString":"{\"apiKey\":\"old\",\"imageKeys\":[{\"id\":\"1\",\"key\":\"k\"}],\"more\":[1,2]}"}' ;;
put-secret-value) cat >"$KEPT/value"; echo '{}' ;;
*) exit 1 ;;
esac
`

// script gives the command that runs a script of local/aws with standIn as
// AWS's command, which keeps what it is given in dir. Where there is no python3
// the test is skipped; with AWS_TESTS=required, as in CI, it fails.
func script(t *testing.T, dir, standIn, name string, args ...string) *exec.Cmd {
	t.Helper()
	// Itself: what stands for it on the PATH may put other folders before ours.
	python, err := exec.Command("python3", "-c", "import sys; print(sys.executable)").Output()
	switch {
	case err != nil && os.Getenv("AWS_TESTS") == "required":
		t.Fatalf("python3: %v", err)
	case err != nil:
		t.Skip("needs python3")
	}
	if err := os.WriteFile(filepath.Join(dir, "aws"), []byte(standIn), 0o755); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(strings.TrimSpace(string(python)), append([]string{"../../local/aws/" + name}, args...)...)
	cmd.Env = append(os.Environ(), "KEPT="+dir, "PATH="+dir+string(os.PathListSeparator)+os.Getenv("PATH"))
	return cmd
}

// setAPIKey runs what make set-api-key runs, with anAWS.
func setAPIKey(t *testing.T, input string) (dir, said string, err error) {
	t.Helper()
	dir = t.TempDir()
	cmd := script(t, dir, anAWS, "set_api_key.py", "a-stack")
	cmd.Stdin = strings.NewReader(input)
	out, err := cmd.CombinedOutput()
	return dir, string(out), err
}

func TestSetAPIKey(t *testing.T) {
	const key = "a-key-that-nobody-may-see"
	dir, said, err := setAPIKey(t, key+"\n")
	if err != nil {
		t.Fatalf("%v\n%s", err, said)
	}
	value, err := os.ReadFile(filepath.Join(dir, "value"))
	if err != nil {
		t.Fatal(err)
	}
	equal(t, "the secret", decoded(t, string(value)), `{"apiKey": "`+key+`", "imageKeys": [{"id": "1", "key": "k"}], "more": [1, 2]}`)
	calls, err := os.ReadFile(filepath.Join(dir, "calls"))
	if err != nil || strings.Contains(string(calls), key) || strings.Contains(said, key) || strings.Count(string(calls), "arn:the-secret") != 2 {
		t.Errorf("called\n%s, said %s, %v", calls, said, err)
	}
}

func TestSetAPIKeyRefuses(t *testing.T) {
	for _, input := range []string{"", "\n", "two words\n", "kéy\n"} {
		dir, said, err := setAPIKey(t, input)
		if _, kept := os.Stat(filepath.Join(dir, "value")); err == nil || kept == nil || strings.Contains(said, "Traceback") {
			t.Errorf("%q: %v, %s", input, err, said)
		}
	}
}
