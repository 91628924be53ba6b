package template_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// fakeAWS replaces AWS's command: it records its arguments, shows a stack and a
// secret, and stores the value it is given.
const fakeAWS = `#!/bin/sh
echo "$*" >>"$KEPT/calls"
case "$2" in
describe-stacks) echo '{"Stacks":[{"Outputs":[{"OutputKey":"Url","OutputValue":"u"},{"OutputKey":"Secret","OutputValue":"arn:the-secret"}]}]}' ;;
get-secret-value) echo '{"SecretString":"{\"apiKey\":\"old\",\"imageKeys\":[{\"id\":\"1\",\"key\":\"k\"}],\"more\":[1,2]}"}' ;;
put-secret-value) cat >"$KEPT/value"; echo '{}' ;;
*) exit 1 ;;
esac
`

// scriptCommand returns the command that runs a script of local/aws with fake
// as AWS's command, which writes into dir. Without python3 the test is skipped;
// with AWS_TESTS=required, as in CI, it fails.
func scriptCommand(t *testing.T, dir, fake, name string, args ...string) *exec.Cmd {
	t.Helper()
	// The interpreter itself: a wrapper on the PATH may put other folders
	// before ours.
	python, err := exec.Command("python3", "-c", "import sys; print(sys.executable)").Output()
	switch {
	case err != nil && os.Getenv("AWS_TESTS") == "required":
		t.Fatalf("python3: %v", err)
	case err != nil:
		t.Skip("needs python3")
	}
	if err := os.WriteFile(filepath.Join(dir, "aws"), []byte(fake), 0o755); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(strings.TrimSpace(string(python)), append([]string{"../../local/aws/" + name}, args...)...)
	cmd.Env = append(os.Environ(), "KEPT="+dir, "PATH="+dir+string(os.PathListSeparator)+os.Getenv("PATH"))
	return cmd
}

// runSetAPIKey runs the script of make set-api-key with fakeAWS.
func runSetAPIKey(t *testing.T, input string) (dir, said string, err error) {
	t.Helper()
	dir = t.TempDir()
	cmd := scriptCommand(t, dir, fakeAWS, "set_api_key.py", "a-stack")
	cmd.Stdin = strings.NewReader(input)
	out, err := cmd.CombinedOutput()
	return dir, string(out), err
}

func TestSetAPIKey(t *testing.T) {
	const key = "a-key-that-nobody-may-see"
	dir, said, err := runSetAPIKey(t, key+"\n")
	if err != nil {
		t.Fatalf("%v\n%s", err, said)
	}
	value, err := os.ReadFile(filepath.Join(dir, "value"))
	if err != nil {
		t.Fatal(err)
	}
	checkJSON(t, "the secret", decode(t, string(value)), `{"apiKey": "`+key+`", "imageKeys": [{"id": "1", "key": "k"}], "more": [1, 2]}`)
	calls, err := os.ReadFile(filepath.Join(dir, "calls"))
	if err != nil || strings.Contains(string(calls), key) || strings.Contains(said, key) || strings.Count(string(calls), "arn:the-secret") != 2 {
		t.Errorf("called\n%s, said %s, %v", calls, said, err)
	}
}

func TestSetAPIKeyRefuses(t *testing.T) {
	for _, input := range []string{"", "\n", "two words\n", "kéy\n"} {
		dir, said, err := runSetAPIKey(t, input)
		if _, kept := os.Stat(filepath.Join(dir, "value")); err == nil || kept == nil || strings.Contains(said, "Traceback") {
			t.Errorf("%q: %v, %s", input, err, said)
		}
	}
}
