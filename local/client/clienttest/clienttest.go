// Package clienttest is a user of the API in tests: each exchange is checked
// against openapi.yaml.
package clienttest

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/preset/nanobanana-functions/local/client"
	"github.com/preset/nanobanana-functions/local/signin"
	"github.com/preset/nanobanana-functions/shared/httpapi"
	"github.com/preset/nanobanana-functions/shared/httpapi/httpapitest"
	"github.com/preset/nanobanana-functions/shared/media"
	"github.com/preset/nanobanana-functions/shared/task"
)

// patience is how long a test waits for what should happen soon.
const patience = time.Minute

// Visitor has links, but no token.
var Visitor = client.Client{HTTP: http.DefaultClient}

// User is a signed-in user of the API.
type User struct{ client.Client }

// New returns the user whose token this is, of the API at base.
func New(t testing.TB, base, token string) User {
	t.Helper()
	transport := httpapitest.Load(t).Transport(t, http.DefaultTransport)
	return User{client.Client{Base: base, Token: token, HTTP: &http.Client{Timeout: patience, Transport: transport}}}
}

// SignIn returns owner, signed in by the mint of a server at base with this
// data folder.
func SignIn(t testing.TB, base, data, owner string) User {
	t.Helper()
	mint, err := signin.Open(data, base)
	if err != nil {
		t.Fatal(err)
	}
	token, err := mint.Token(owner, time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	return New(t, base, token)
}

// Submit submits a task.
func (u User) Submit(t testing.TB, body map[string]any, key string) httpapi.Task {
	t.Helper()
	got, err := u.Call(t.Context(), http.MethodPost, "/v1/tasks", body, key)
	if err != nil {
		t.Fatal(err)
	}
	return got
}

// AwaitSuccess waits until a task has succeeded.
func (u User) AwaitSuccess(t testing.TB, id string) httpapi.Task {
	t.Helper()
	for end := time.Now().Add(patience); time.Now().Before(end); {
		got, err := u.Call(t.Context(), http.MethodGet, "/v1/tasks/"+id+"?wait=5", nil, "")
		if err != nil {
			t.Fatal(err)
		}
		if got.Done {
			if got.Status != task.Succeeded {
				t.Fatalf("task %s is %s: %+v", id, got.Status, got.Error)
			}
			return got
		}
	}
	t.Fatalf("task %s has not ended", id)
	return httpapi.Task{}
}

// Do calls the API, checks the answer's status, and reads the answer into v
// unless v is nil.
func (u User) Do(t testing.TB, status int, method, path, body string, v any, header ...string) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, u.Base+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Authorization", "Bearer "+u.Token)
	r.Header.Set("Content-Type", "application/json")
	for i := 0; i < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	answer, err := u.HTTP.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = answer.Body.Close() }()
	b, err := io.ReadAll(answer.Body)
	if err == nil && v != nil {
		err = json.Unmarshal(b, v)
	}
	if err != nil || answer.StatusCode != status {
		t.Fatalf("%s %s %s: %s, want %d: %s, %v", method, path, body, answer.Status, status, b, err)
	}
}

// AwaitServer waits until the server answers.
func (u User) AwaitServer(t testing.TB) {
	t.Helper()
	Eventually(t, func() error {
		resp, err := http.Get(u.Base + "/v1/health")
		if err == nil {
			_ = resp.Body.Close()
		}
		return err
	})
}

// Eventually waits until check returns no error.
func Eventually(t testing.TB, check func() error) {
	t.Helper()
	err := errors.New("not tried")
	for end := time.Now().Add(patience); time.Now().Before(end) && err != nil; time.Sleep(2 * time.Millisecond) {
		err = check()
	}
	if err != nil {
		t.Fatalf("still after %s: %v", patience, err)
	}
}

// Pictures returns the file names of a task's stored originals, without the copies of
// its inputs, and checks that each has its thumbnail.
func Pictures(t testing.TB, data, id string) []string {
	t.Helper()
	entries, err := os.ReadDir(filepath.Join(data, "pictures", "tasks", id))
	if err != nil {
		t.Fatal(err)
	}
	entries = slices.DeleteFunc(entries, func(e os.DirEntry) bool { return strings.Contains(e.Name(), "-input") })
	var originals []string
	for _, e := range entries {
		if !strings.HasSuffix(e.Name(), fmt.Sprintf("-%d.jpg", media.ThumbnailSide)) {
			originals = append(originals, e.Name())
		}
	}
	if len(entries) != 2*len(originals) {
		t.Errorf("%d files for %d pictures", len(entries), len(originals))
	}
	return originals
}

// FreeAddress returns an address that stays free until it is listened on: its
// port is outside the range from which the system serves other programs.
func FreeAddress(t testing.TB) string {
	t.Helper()
	var err error
	for range 100 {
		var l net.Listener
		if l, err = net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", 10_000+rand.IntN(20_000))); err == nil {
			defer func() { _ = l.Close() }()
			return l.Addr().String()
		}
	}
	t.Fatal(err)
	return ""
}
