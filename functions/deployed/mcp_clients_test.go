package deployed_test

import (
	"context"
	"os"
	"os/exec"
	"syscall"
	"testing"
	"time"

	"github.com/preset/nanobanana-functions/shared/nanobanana/nanobananatest"
)

// The protocol's official clients, in local/mcp, against /mcp as it is deployed:
// what they make is paid for once, and no log holds a token. Where they are not
// installed the test is skipped; with MCP_TESTS=required, as in CI, it fails.
func TestMCPClients(t *testing.T) {
	const clients = "../../local/mcp"
	_, err := os.Stat(clients + "/node_modules")
	switch {
	case err != nil && os.Getenv("MCP_TESTS") == "required":
		t.Fatalf("%v: run this by make test-mcp", err)
	case err != nil:
		t.Skip("needs the clients, which make test-mcp installs")
	}
	t.Parallel()
	w := newWorld(t, map[string]string{"PRICES": "nano-banana-pro/4K=5000"}, func(k *nanobananatest.Knobs) { k.PictureSide = 768 })
	expired, err := w.mint.Token("ada", -time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	w.hide(expired)

	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, clients+"/run")
	cmd.Env = append(os.Environ(),
		"MCP_URL="+w.url, "MCP_TOKEN="+w.token("ada"), "MCP_EXPIRED_TOKEN="+expired,
		"MCP_LEDGER="+w.sim.URL, "MCP_LEDGER_KEY="+nanobananatest.DefaultKey)
	cmd.Stdout, cmd.Stderr = t.Output(), t.Output()
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) } // it ends its own children
	cmd.WaitDelay = 10 * time.Second
	if err := cmd.Run(); err != nil {
		t.Errorf("the clients: %v\n%s", err, w.logs())
	}
	if n := w.sim.Posts(); n != 3 {
		t.Errorf("%d orders at the provider, want 3: a picture and two edits", n)
	}
}
