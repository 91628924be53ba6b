package serve

import (
	"context"
	"fmt"
	"io"
	"net/url"
	"path/filepath"
	"strings"
	"time"

	"github.com/preset/nanobanana-functions/local/ops"
	"github.com/preset/nanobanana-functions/shared/task"
)

// banner prints what runs and what to try next.
func (s *Server) banner(ctx context.Context, out io.Writer) {
	fmt.Fprintf(out, "  studio      open %s in a browser\n", s.URL)
	if s.studio.mint != nil && s.studio.paid {
		fmt.Fprintf(out, "              pictures cost credits, so the page asks for a token; print one with: %s\n", s.studio.tokenCommand)
	}
	switch {
	case s.live:
		fmt.Fprintf(out, "  provider    %s, which costs credits: %s\n", s.settings.BaseURL, s.balance(ctx))
	case s.studio.simulator != nil:
		fmt.Fprintln(out, "  provider    simulated: costs nothing, pictures are drawn here")
	default:
		fmt.Fprintf(out, "  provider    %s\n", s.settings.BaseURL)
	}
	if s.settings.NoCallbacks {
		fmt.Fprintln(out, "  callbacks   cannot reach this machine, so records are polled; to receive them, set PUBLIC_URL to a tunnel's address")
	}
	if to, err := url.Parse(s.settings.NotifyURL); err == nil && to.Host != "" {
		fmt.Fprintf(out, "  notices     go to %s://%s, signed with NOTIFY_KEY or, if that is not set, \"notify\" in %s\n", to.Scheme, to.Host, filepath.Join(s.data, keysFile))
	}
	fmt.Fprintf(out, "  data        %s\n", s.data)
	if s.orphans {
		fmt.Fprintf(out, "  WARNING     %s\n", orphansText)
	}
	fmt.Fprintln(out)
	if s.studio.mint == nil {
		fmt.Fprintf(out, "Sign in with a token of %s.\n", s.settings.AuthIssuer)
		return
	}
	fmt.Fprintf(out, `Try in another shell:
  bin/local demo%[2]s
  curl -s %[1]s/v1/tasks -H "Authorization: Bearer $(bin/local token%[2]s)" -H 'Content-Type: application/json' -d '{"prompt":"a red bicycle"}'
  claude mcp add --transport http preset-local %[1]s/mcp --header "Authorization: Bearer $(bin/local token%[2]s)"
`, s.URL, commandFlags(s.URL, s.data))
}

// commandFlags returns the flags with which other commands of bin/local find the
// server at url that keeps its data in this folder.
func commandFlags(url, data string) (flags string) {
	if addr := strings.TrimPrefix(url, "http://"); addr != DefaultAddr {
		flags += " -addr " + addr
	}
	if data != DefaultData {
		flags += " -data " + ops.Quote(data)
	}
	return flags
}

// balance describes the balance of the provider's account.
func (s *Server) balance(ctx context.Context) string {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	b, err := s.submitter.Account.Balance(ctx)
	if err != nil {
		return fmt.Sprintf("cannot read the balance (%v)", err)
	}
	return fmt.Sprintf("%s credits left", task.Credits(b.Credits))
}
