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

// The protocol's official clients in local/mcp run against /mcp as it is
// deployed: each picture is paid for once, and no log contains a token. Without
// the clients the test is skipped; with MCP_TESTS=required, as in CI, it fails.
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
	h := newHarness(t, map[string]string{"PRICES": "nano-banana-pro/4K=5000"}, func(k *nanobananatest.Knobs) { k.PictureSide = 768 })
	expired, err := h.mint.Token("ada", -time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	h.hide(expired)

	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, clients+"/run")
	cmd.Env = append(os.Environ(),
		"MCP_URL="+h.url, "MCP_TOKEN="+h.token("ada"), "MCP_EXPIRED_TOKEN="+expired,
		"MCP_LEDGER="+h.sim.URL, "MCP_LEDGER_KEY="+nanobananatest.DefaultKey)
	cmd.Stdout, cmd.Stderr = t.Output(), t.Output()
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) } // the script then ends its own children
	cmd.WaitDelay = 10 * time.Second
	if err := cmd.Run(); err != nil {
		t.Errorf("the clients: %v\n%s", err, h.logs())
	}
	if n := h.sim.Posts(); n != 7 {
		t.Errorf("%d orders at the provider, want 7: a picture and two edits, and in the chats two pictures, an edit and variations", n)
	}
}
