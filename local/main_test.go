package main

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"runtime/debug"
	"strings"
	"testing"

	"github.com/preset/nanobanana-functions/local/client/clienttest"
	"github.com/preset/nanobanana-functions/local/serve"
	"github.com/preset/nanobanana-functions/local/signin"
	"github.com/preset/nanobanana-functions/shared/httpapi"
	"github.com/preset/nanobanana-functions/shared/nanobanana/nanobananatest"
)

// user signs ada in with the token that the command prints.
func user(t testing.TB, base, data string) clienttest.User {
	t.Helper()
	var token bytes.Buffer
	addr := strings.TrimPrefix(base, "http://")
	if err := run(t.Context(), []string{"token", "-addr", addr, "-data", data, "ada"}, os.Getenv, &token, io.Discard); err != nil {
		t.Fatal(err)
	}
	return clienttest.New(t, base, strings.TrimSpace(token.String()))
}

// The issuer and the owner of a token are those that a server at this address
// accepts.
func TestTokenCommand(t *testing.T) {
	data := t.TempDir()
	for owner, args := range map[string][]string{"ada": {"ada"}, signin.SampleOwner: nil} {
		var printed strings.Builder
		if err := run(t.Context(), append([]string{"token", "-addr", "127.0.0.1:9000", "-data", data}, args...), os.Getenv, &printed, io.Discard); err != nil {
			t.Fatal(err)
		}
		payload, err := base64.RawURLEncoding.DecodeString(strings.Split(printed.String(), ".")[1])
		var claims struct{ Iss, Sub string }
		if err = errors.Join(err, json.Unmarshal(payload, &claims)); err != nil || claims.Iss != "http://127.0.0.1:9000/auth/v1" || claims.Sub != owner {
			t.Errorf("a token of %+v, %v", claims, err)
		}
	}
}

// A token for a folder that no local run has used is printed with a note.
func TestTokenOfANewFolder(t *testing.T) {
	data := filepath.Join(t.TempDir(), "new")
	for i, noted := range []bool{true, false} { // the first has made the folder
		var printed, note strings.Builder
		if err := run(t.Context(), []string{"token", "-data", data}, os.Getenv, &printed, &note); err != nil {
			t.Fatal(err)
		}
		if strings.Count(printed.String(), "\n") != 1 || strings.Contains(note.String(), data) != noted {
			t.Errorf("%d: printed %q, noted %q", i, printed.String(), note.String())
		}
	}
}

// The files that the demo names are those that the provider served, and the studio
// page's user sees them.
func TestDemo(t *testing.T) {
	data := t.TempDir()
	s, err := serve.Start(serve.Options{Addr: "127.0.0.1:0", Data: data, Log: io.Discard, Getenv: func(string) string { return "" }})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	s.Simulator().SetKnobs(func(k *nanobananatest.Knobs) { k.Delay, k.PictureSide = 0, 64 })
	var out bytes.Buffer
	if err := run(t.Context(), []string{"demo", "-addr", strings.TrimPrefix(s.URL, "http://"), "-data", data}, os.Getenv, &out, io.Discard); err != nil {
		t.Fatalf("%v\n%s", err, out.String())
	}
	files := regexp.MustCompile(`(?m)^  (\S+)  (\d+) bytes`).FindAllStringSubmatch(out.String(), -1)
	if len(files) != 2 {
		t.Fatalf("%d files are named, want 2:\n%s", len(files), out.String())
	}
	var list struct{ Tasks []httpapi.Task }
	clienttest.SignIn(t, s.URL, data, signin.SampleOwner).Do(t, http.StatusOK, http.MethodGet, "/v1/tasks", "", &list)
	if len(list.Tasks) != 2 {
		t.Errorf("the page's user has %d tasks, want 2", len(list.Tasks))
	}
	for i, f := range files {
		b, err := os.ReadFile(f[1])
		if err != nil || fmt.Sprint(len(b)) != f[2] {
			t.Errorf("%s: %d bytes, %v", f[0], len(b), err)
		}
		served, err := clienttest.Visitor.Get(t.Context(), s.Simulator().Tasks()[i].URLs[0])
		if err != nil || !bytes.Equal(b, served) {
			t.Errorf("%s is not what the provider served, %v", f[1], err)
		}
	}
}

// Without a server the demo says how to start one.
func TestDemoWithoutServer(t *testing.T) {
	err := run(t.Context(), []string{"demo", "-addr", clienttest.FreeAddress(t), "-data", t.TempDir()}, os.Getenv, io.Discard, io.Discard)
	if err == nil || !strings.Contains(err.Error(), "make local") {
		t.Errorf("got %v", err)
	}
}

// The verify command asks before it spends, and -yes skips the question.
func TestVerifyCommand(t *testing.T) {
	sim := nanobananatest.NewServer(func(k *nanobananatest.Knobs) { k.PictureSide, k.LoseCallbacks = 64, true })
	t.Cleanup(sim.Close)
	env := map[string]string{
		"NANOBANANA_BASE_URL": sim.URL, "NANOBANANA_API_KEY": nanobananatest.DefaultKey,
		"RESULT_HOSTS": strings.TrimPrefix(sim.URL, "http://"), "POLL_EVERY": "30ms",
	}
	getenv := func(name string) string { return env[name] }
	args := []string{"verify", "-addr", clienttest.FreeAddress(t), "-data", t.TempDir(), "-wait", "3s"}
	var out bytes.Buffer
	if err := run(t.Context(), args, getenv, &out, io.Discard); err == nil || sim.Posts() != 0 {
		t.Errorf("unasked: %v, %d POSTs", err, sim.Posts())
	}
	if err := run(t.Context(), append(args, "-yes"), getenv, &out, io.Discard); err != nil || sim.Posts() != 4 {
		t.Errorf("%v, %d POSTs\n%s", err, sim.Posts(), out.String())
	}
	for _, text := range []string{"is 1000 credits", "1 of 4: one picture, about 4 credits", "guess", "set this", "as guessed"} {
		if !strings.Contains(out.String(), text) {
			t.Errorf("it does not say %q:\n%s", text, out.String())
		}
	}
}

// The local run collects garbage less often, unless the environment says how often.
func TestCollectLess(t *testing.T) {
	percent, limit := debug.SetGCPercent(100), debug.SetMemoryLimit(-1)
	t.Cleanup(func() {
		debug.SetGCPercent(percent)
		debug.SetMemoryLimit(limit)
	})
	for _, x := range []struct {
		env            map[string]string
		percent, limit int64
	}{
		{nil, 400, 2 << 30},
		{map[string]string{"GOGC": "50"}, 100, 2 << 30},
		{map[string]string{"GOMEMLIMIT": "1GiB"}, 400, math.MaxInt64},
	} {
		debug.SetGCPercent(100)
		debug.SetMemoryLimit(math.MaxInt64)
		collectLess(func(name string) string { return x.env[name] })
		if p, l := debug.SetGCPercent(100), debug.SetMemoryLimit(-1); int64(p) != x.percent || l != x.limit {
			t.Errorf("%v: %d %% and %d bytes, want %d and %d", x.env, p, l, x.percent, x.limit)
		}
	}
}
