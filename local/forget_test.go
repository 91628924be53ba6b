package main

import (
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/preset/nanobanana-functions/local/client/clienttest"
	"github.com/preset/nanobanana-functions/shared/nanobanana/nanobananatest"
)

// forgetter is the user of TestForget.
const forgetter = "7c9e6679-7425-40de-944b-e07fc1f90ae7"

// A user is forgotten in the folder of a server that was killed while a picture of
// theirs was being made. When it runs again the picture is finished and erased, all
// files are gone, and nothing more can be ordered or uploaded. Others notice nothing.
func TestForget(t *testing.T) {
	t.Parallel()
	path, tool := build(t), filepath.Join(t.TempDir(), "ops")
	if out, err := exec.Command("go", "build", "-o", tool, "./ops/bootstrap").CombinedOutput(); err != nil {
		t.Fatalf("build: %v\n%s", err, out)
	}
	sim := nanobananatest.NewServer(func(k *nanobananatest.Knobs) { k.PictureSide = 64 })
	t.Cleanup(sim.Close)
	addr, data := clienttest.FreeAddress(t), t.TempDir()
	env := []string{
		"NANOBANANA_BASE_URL=" + sim.URL, "NANOBANANA_API_KEY=" + nanobananatest.DefaultKey, "RESULT_HOSTS=" + strings.TrimPrefix(sim.URL, "http://"),
		"SWEEP_EVERY=100ms", "POLL_EVERY=100ms",
	}
	p := launch(t, path, addr, data, env...)
	c, bob := clienttest.SignIn(t, p.url, data, forgetter), clienttest.SignIn(t, p.url, data, "bob")
	finished := c.AwaitSuccess(t, c.Submit(t, map[string]any{"prompt": "a lighthouse"}, "a").ID)
	kept := bob.AwaitSuccess(t, bob.Submit(t, map[string]any{"prompt": "a lighthouse"}, "a").ID)
	sim.SetKnobs(func(k *nanobananatest.Knobs) { // nobody learns that it is made
		k.Record, k.LoseCallbacks = nanobananatest.Fault{Kind: nanobananatest.FaultStatus, Code: 500}, true
	})
	running := c.Submit(t, map[string]any{"prompt": "a harbour"}, "b")
	if err := p.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = p.Wait()
	http.DefaultTransport.(*http.Transport).CloseIdleConnections()

	forget := exec.Command(tool, "forget", forgetter, "-data", data)
	forget.Env, forget.Stdin = append(os.Environ(), env...), strings.NewReader(forgetter+"\n")
	out, err := forget.CombinedOutput()
	if text := string(out); err != nil || !strings.Contains(text, "erased       1 task") || !strings.Contains(text, "running      1 task") || strings.Contains(text, forgetter) {
		t.Fatalf("%v\n%s", err, out)
	}

	sim.SetKnobs(func(k *nanobananatest.Knobs) { k.Record = nanobananatest.Fault{} })
	launch(t, path, addr, data, env...)
	clienttest.Eventually(t, func() error {
		var left []string
		for _, id := range []string{finished.ID, running.ID} {
			files, err := os.ReadDir(filepath.Join(data, "pictures", "tasks", id))
			if err != nil && !errors.Is(err, os.ErrNotExist) {
				return err
			}
			for _, f := range files {
				left = append(left, f.Name())
			}
		}
		if sim.Posts() != 3 || len(left) > 0 {
			return fmt.Errorf("%d POSTs, files %v", sim.Posts(), left)
		}
		answer, err := exec.Command(tool, "inspect", running.ID, "-addr", addr).CombinedOutput()
		if err != nil || !strings.Contains(string(answer), "deleted") || !strings.Contains(string(answer), "succeeded") {
			return fmt.Errorf("%w: %s", err, answer)
		}
		return nil
	})
	for _, id := range []string{finished.ID, running.ID} {
		c.Do(t, 404, "GET", "/v1/tasks/"+id, "", nil)
	}
	c.Do(t, 422, "POST", "/v1/tasks", `{"prompt":"a lighthouse"}`, nil, "Idempotency-Key", "a") // its key stays used
	c.Do(t, 403, "POST", "/v1/tasks", `{"prompt":"a lighthouse"}`, nil)
	c.Do(t, 403, "POST", "/v1/uploads", `{"contentType":"image/png","bytes":7}`, nil)
	var list struct{ Tasks []any }
	if c.Do(t, 200, "GET", "/v1/tasks", "", &list); len(list.Tasks) > 0 {
		t.Errorf("listed %v", list.Tasks)
	}
	if n := len(clienttest.Pictures(t, data, kept.ID)); n != 1 {
		t.Errorf("another user has %d pictures", n)
	}
	bob.Do(t, 202, "POST", "/v1/tasks", `{"prompt":"a ship"}`, nil)
}
