// Command rules reads what an MCP server says of itself, as the user whose token is
// in MCP_TOKEN, and prints each breach of the published rules of Claude's directory.
//
//	MCP_TOKEN=… rules http://127.0.0.1:8787/mcp
package main

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/preset/nanobanana-functions/functions/mcp/mcptest"
	"github.com/preset/nanobanana-functions/shared/outbound"
)

const (
	timeout   = 30 * time.Second
	maxAnswer = 4 << 20
)

func main() {
	ctx, cancel := context.WithTimeout(context.Background(), timeout)
	err := run(ctx, os.Args[1:], os.Getenv("MCP_TOKEN"), os.Stdout)
	cancel()
	if err != nil {
		fmt.Fprintln(os.Stderr, "rules:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string, token string, out io.Writer) error {
	if len(args) != 1 {
		return fmt.Errorf("use it with the address of /mcp")
	}
	client := outbound.NewClient()
	surface, err := mcptest.Read(func(method, params string, result any) (bool, error) {
		body := fmt.Sprintf(`{"jsonrpc":"2.0","id":1,"method":%q,"params":%s}`, method, params)
		r, err := http.NewRequestWithContext(ctx, http.MethodPost, args[0], strings.NewReader(body))
		if err != nil {
			return false, err
		}
		r.Header = http.Header{"Authorization": {"Bearer " + token}, "Content-Type": {"application/json"}, "Accept": {"application/json, text/event-stream"}}
		for pair := range slices.Chunk(mcptest.Header(method), 2) {
			r.Header.Set(pair[0], pair[1])
		}
		answer, err := client.Do(r)
		if err != nil {
			return false, err
		}
		defer func() { _ = answer.Body.Close() }()
		content, err := io.ReadAll(io.LimitReader(answer.Body, maxAnswer))
		if err != nil {
			return false, err
		}
		return mcptest.ReadJSON(content, result)
	})
	if err != nil {
		return err
	}
	found := mcptest.Check(surface)
	for _, f := range found {
		fmt.Fprintln(out, f)
	}
	if len(found) > 0 {
		return fmt.Errorf("%d breaches", len(found))
	}
	fmt.Fprintf(out, "%d rules hold for %d tools and %d texts\n", len(mcptest.Rules), len(surface.Tools), len(surface.Texts))
	return nil
}
