package main

import (
	"bufio"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/preset/nanobanana-functions/local/client/clienttest"
	"github.com/preset/nanobanana-functions/shared/nanobanana/nanobananatest"
)

// build builds the command.
func build(t *testing.T) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "local")
	if out, err := exec.Command("go", "build", "-o", path, ".").CombinedOutput(); err != nil {
		t.Fatalf("build: %v\n%s", err, out)
	}
	return path
}

// process is a running bin/local.
type process struct {
	*exec.Cmd
	url string
}

// launch starts the command and waits for its first line.
func launch(t *testing.T, path, addr, data string, env ...string) process {
	t.Helper()
	cmd := exec.Command(path, "-addr", addr, "-data", data)
	cmd.Env = append(os.Environ(), env...)
	cmd.Stderr = os.Stderr
	if !testing.Verbose() {
		cmd.Stderr = nil
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() })
	line, err := bufio.NewReader(out).ReadString('\n')
	url, ok := strings.CutPrefix(strings.TrimSpace(line), "listening on ")
	if err != nil || !ok {
		t.Fatalf("its first line is %q, %v", line, err)
	}
	return process{cmd, url}
}

// A server that is killed between submit and callback and started again loses
// nothing and posts nothing twice: with a provider that calls back later, with one
// whose callbacks are lost, and with the simulator that dies with the server.
func TestKill(t *testing.T) {
	path := build(t)
	sweeping := []string{"SWEEP_EVERY=100ms", "POLL_EVERY=100ms"}
	for name, lose := range map[string]bool{"callbacks retried": false, "callbacks lost": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			sim := nanobananatest.NewServer(func(k *nanobananatest.Knobs) {
				k.Delay, k.LoseCallbacks, k.PictureSide = nanobananatest.Duration(300*time.Millisecond), lose, 64
				k.CallbackRetries = slices.Repeat([]nanobananatest.Duration{k.Delay}, 200) // longer than any restart takes
			})
			t.Cleanup(sim.Close)
			env := []string{"NANOBANANA_BASE_URL=" + sim.URL, "NANOBANANA_API_KEY=" + nanobananatest.DefaultKey, "RESULT_HOSTS=" + strings.TrimPrefix(sim.URL, "http://")}
			if lose {
				env = append(env, sweeping...)
			}
			killAndRestart(t, path, env)
			if n := sim.Posts(); n != killTasks {
				t.Errorf("%d POSTs for %d tasks", n, killTasks)
			}
		})
	}
	t.Run("the simulator is killed too", func(t *testing.T) {
		t.Parallel()
		killAndRestart(t, path, sweeping)
	})
}

const killTasks = 4

func killAndRestart(t *testing.T, path string, env []string) {
	t.Helper()
	addr, data := clienttest.FreeAddress(t), t.TempDir()
	p := launch(t, path, addr, data, env...)
	c := user(t, p.url, data)
	var ids []string
	for n := range killTasks {
		ids = append(ids, c.Submit(t, map[string]any{"prompt": fmt.Sprint("picture ", n)}, fmt.Sprint("key-", n)).ID)
	}
	if err := p.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = p.Wait()
	http.DefaultTransport.(*http.Transport).CloseIdleConnections()

	p = launch(t, path, addr, data, env...)
	for n, id := range ids {
		got := c.AwaitSuccess(t, id)
		if len(got.Images) != 1 || len(clienttest.Pictures(t, data, id)) != 1 {
			t.Errorf("task %s has %d images", id, len(got.Images))
		}
		if again := c.Submit(t, map[string]any{"prompt": fmt.Sprint("picture ", n)}, fmt.Sprint("key-", n)); again.ID != id {
			t.Errorf("its key finds another task, %s", again.ID)
		}
	}
	if err := p.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if err := p.Wait(); err != nil {
		t.Errorf("after SIGTERM: %v, want a clean end", err)
	}
}
