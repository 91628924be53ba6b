package ops_test

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"

	"github.com/preset/nanobanana-functions/local/ops"
	"github.com/preset/nanobanana-functions/local/serve"
	"github.com/preset/nanobanana-functions/shared/config"
	"github.com/preset/nanobanana-functions/shared/taskbolt"
)

// folder is the data folder of a stopped local run.
type folder struct {
	t    *testing.T
	path string
	env  map[string]string
}

func newFolder(t *testing.T, env map[string]string) *folder {
	t.Helper()
	f := &folder{t: t, path: t.TempDir(), env: env}
	store, err := taskbolt.Open(filepath.Join(f.path, "tasks.db"))
	if err != nil {
		t.Fatal(err)
	}
	if err := store.Close(); err != nil {
		t.Fatal(err)
	}
	return f
}

// run runs a command and returns what it printed, first to standard output. No line is
// longer than a terminal is wide, except commands and tokens.
func (f *folder) run(stdin, words string) (out, errOut string, exit ops.Exit) {
	f.t.Helper()
	getenv := func(name string) string { return f.env[name] }
	var o, e bytes.Buffer
	exit = ops.Main(f.t.Context(), append(strings.Fields(words), "-data", f.path), ops.Options{
		Getenv: getenv, In: strings.NewReader(stdin), Out: &o, Err: &e,
		OpenData: func(folder string, write bool) (*ops.Env, func() error, error) {
			return serve.OpenStopped(folder, getenv, io.Discard, write)
		},
	})
	for line := range strings.Lines(o.String()) {
		if len([]rune(line)) > 81 && !strings.HasPrefix(line, "next: ") && !strings.Contains(words, "-json") {
			f.t.Errorf("%s prints a long line: %s", words, line)
		}
	}
	for _, k := range f.values() {
		if strings.Contains(o.String()+e.String(), k) {
			f.t.Errorf("%s prints a key: %s%s", words, o.String(), e.String())
		}
	}
	return o.String(), e.String(), exit
}

// fine runs a command that must succeed.
func (f *folder) fine(words string) string {
	f.t.Helper()
	out, errOut, exit := f.run("", words)
	if exit != ops.Fine {
		f.t.Fatalf("%s: %d, %s%s", words, exit, out, errOut)
	}
	return out
}

// refused runs a command that must fail with a text.
func (f *folder) refused(words, text string) {
	f.t.Helper()
	if out, errOut, exit := f.run("", words); exit == ops.Fine || !strings.Contains(errOut, text) || out != "" {
		f.t.Errorf("%s: %d, %s%s", words, exit, out, errOut)
	}
}

func (f *folder) secret() []byte {
	f.t.Helper()
	getenv := func(name string) string { return f.env[name] }
	e, closeRun, err := serve.OpenStopped(f.path, getenv, io.Discard, false)
	if err != nil {
		f.t.Fatal(err)
	}
	defer func() { _ = closeRun() }()
	v, err := e.Secret.Read(f.t.Context())
	if err != nil {
		f.t.Fatal(err)
	}
	return v.Value
}

func (f *folder) parsed() config.Secret {
	f.t.Helper()
	s, err := config.ParseSecret(f.secret())
	if err != nil {
		f.t.Fatal(err)
	}
	return s
}

// values are the values of all keys.
func (f *folder) values() (all []string) {
	s := f.parsed()
	for _, k := range append(append(append(s.CallbackKeys[:0:0], s.CallbackKeys...), s.ImageKeys...), s.NotifyKeys...) {
		all = append(all, string(k.Key))
	}
	return append(all, string(s.APIKey))
}

// later lets hours pass for the keys: it moves their times back.
func (f *folder) later(d time.Duration) {
	f.t.Helper()
	path := filepath.Join(f.path, "secret.json")
	b, err := os.ReadFile(path)
	if err != nil {
		f.t.Fatal(err)
	}
	b = regexp.MustCompile(`"(addedAt|retiredAt)":"([^"]+)"`).ReplaceAllFunc(b, func(m []byte) []byte {
		name, at, _ := strings.Cut(strings.Trim(string(m), `"`), `":"`)
		was, err := time.Parse(time.RFC3339, at)
		if err != nil {
			f.t.Fatal(err)
		}
		return []byte(`"` + name + `":"` + was.Add(-d).Format(time.RFC3339) + `"`)
	})
	if err := os.WriteFile(path, b, 0o600); err != nil {
		f.t.Fatal(err)
	}
}

func contains(t *testing.T, got string, wants ...string) {
	t.Helper()
	for _, want := range wants {
		if !strings.Contains(strings.Join(strings.Fields(got), " "), want) {
			t.Errorf("printed\n%s\nwithout %q", got, want)
		}
	}
}

func TestKeyRotate(t *testing.T) {
	f := newFolder(t, nil)
	contains(t, f.fine("key list"), "image local signs - -", "callback local signs - -", "notify local signs - -", "0 tokens", "is set")
	for _, kind := range []string{"callback", "image"} {
		contains(t, f.fine("key rotate "+kind), "Step 1 of 2", "key 2", "next: bin/ops key rotate "+kind)
		f.refused("key rotate "+kind, "Run this again then")
		contains(t, f.fine("key list"), kind+" 2 verifies, signs next")
		f.later(6 * time.Minute)
		contains(t, f.fine("key rotate "+kind), "Step 2 of 2", "key 2", "local")
		contains(t, f.fine("key list"), kind+" 2 signs", kind+" local verifies")
	}
	f.refused("key remove callback local", "from")
	f.refused("key remove image local", "never removed")
	f.refused("key remove image 2", "never removed")
	f.refused("key remove door 2", "name callback, image or notify")
	f.later(27 * time.Hour)
	contains(t, f.fine("key remove callback local"), "is removed")
	if s := f.parsed(); len(s.CallbackKeys) != 1 || len(s.ImageKeys) != 2 || s.ImageKeys[0].ID != "2" {
		t.Errorf("%d callback keys, %d image keys", len(s.CallbackKeys), len(s.ImageKeys))
	}
	f.refused("key rotate", "KIND is missing")
}

// A notify key is removed only if the receiver accepts what the others sign.
func TestRotateNotify(t *testing.T) {
	var knows func(header http.Header, body []byte) bool
	receiver := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		if !strings.Contains(string(body), `"type":"test"`) || !knows(r.Header, body) {
			w.WriteHeader(http.StatusUnauthorized)
		}
	}))
	t.Cleanup(receiver.Close)
	f := newFolder(t, map[string]string{"NOTIFY_URL": receiver.URL + "/hook?secret=c0ffee"})
	contains(t, f.fine("key rotate notify"), "notify key 2", "next: bin/ops key remove notify local")
	f.refused("key rotate notify", "signs already")
	f.refused("key remove notify local", "Run this again then")
	f.later(6 * time.Minute)
	keys := f.parsed().NotifyKeys
	verifies := func(i int) func(http.Header, []byte) bool {
		hook, err := standardwebhooks.NewWebhook(string(keys[i].Key))
		if err != nil {
			t.Fatal(err)
		}
		return func(header http.Header, body []byte) bool { return hook.Verify(body, header) == nil }
	}
	knows = verifies(0)
	f.refused("key remove notify local", "the receiver does not accept")
	if n := len(f.parsed().NotifyKeys); n != 2 {
		t.Errorf("%d keys after the refusal", n)
	}
	knows = verifies(1)
	contains(t, f.fine("key remove notify local"), "accepted a test notice", "is removed")
	receiver.Close()
	f.fine("key rotate notify")
	f.later(6 * time.Minute)
	if _, errOut, _ := f.run("", "key remove notify 2"); !strings.Contains(errOut, "connection refused") || strings.Contains(errOut, "c0ffee") {
		t.Errorf("without a receiver: %s", errOut)
	}
}

func TestKeySet(t *testing.T) {
	f := newFolder(t, nil)
	for input, says := range map[string]string{
		"": "standard input", "\n": "standard input", "two words\n": "visible ASCII", "kéy\n": "visible ASCII", "one\ntwo\n": "more than one line",
		strings.Repeat("k", 2000): "far longer", "a-key-of-the-provider\n": "NANOBANANA_API_KEY",
	} {
		if out, errOut, exit := f.run(input, "key set"); exit == ops.Fine || !strings.Contains(errOut, says) || !strings.Contains(errOut, "nothing was changed") || out != "" {
			t.Errorf("%.20q: %d, %s%s", input, exit, out, errOut)
		}
	}
	f.refused("key set a-key", "too much")
}

func TestTokens(t *testing.T) {
	f := newFolder(t, nil)
	contains(t, f.fine("token list"), "0 tokens")
	contains(t, f.fine("token list -json"), `"tokens": []`)
	out := f.fine("token add personal ada")
	made := regexp.MustCompile(`nbp_[A-Za-z0-9_-]{43}`).FindAllString(out, -1)
	if len(made) != 1 {
		t.Fatalf("printed\n%s", out)
	}
	var added struct{ Report struct{ Token, ID string } }
	err := json.Unmarshal([]byte(f.fine("token add service -json")), &added)
	service := added.Report
	if err != nil || !strings.HasPrefix(service.Token, "nbs_") || service.ID != "preset" {
		t.Errorf("%+v, %v", service, err)
	}
	if s := f.parsed(); s.PersonalTokens.Owner(made[0]) != "ada" || !s.ServiceTokens.Verify(service.Token) || strings.Contains(string(f.secret()), made[0]) {
		t.Error("the secret does not accept the tokens, or keeps them")
	}
	f.refused("token add personal ada", "another ID")
	f.refused("token add personal", "Usage")
	f.refused("token add door ada", "Usage")
	f.refused("token add service a b", "Usage")
	f.refused("token add service a/b", "Usage")
	f.refused("token add personal ädä", "visible ASCII")
	f.refused("token add personal "+strings.Repeat("x", 129), "Usage")
	f.fine("token add personal bob laptop")
	contains(t, f.fine("token list"), "3 tokens", "personal claude ada", "personal laptop bob", "service preset")
	if out := f.fine("token list -json"); strings.Contains(out, "hash") {
		t.Errorf("token list prints hashes: %s", out)
	}
	contains(t, f.fine("token revoke laptop"), "personal token laptop", "is revoked")
	f.refused("token revoke laptop", "no such token")
	f.refused("token revoke -kind door claude", "personal or service")
	if s := f.parsed(); s.PersonalTokens.Owner(made[0]) != "ada" || len(s.PersonalTokens) != 1 {
		t.Error("the other token is gone")
	}
	contains(t, f.fine("key list"), "2 tokens")
}

// A command that would need the value of a variable says so.
func TestKeyOfTheEnvironment(t *testing.T) {
	f := newFolder(t, map[string]string{"CALLBACK_KEY": "a-callback-key-of-the-environment"})
	f.refused("key rotate callback", "CALLBACK_KEY")
	f.fine("key rotate image")
	f.fine("token add service")
}
