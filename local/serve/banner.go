package serve

import (
	"context"
	"fmt"
	"io"
	"net/url"
	"path/filepath"
	"strings"
	"time"
)

// banner prints what runs here, and what to try next.
func (s *Server) banner(ctx context.Context, out io.Writer) {
	fmt.Fprintf(out, "  studio      open %s in a browser\n", s.URL)
	if s.studio.mint != nil && s.studio.paid {
		fmt.Fprintf(out, "              it asks for a token, since its pictures are paid: %s\n", s.studio.tokenCommand)
	}
	switch {
	case s.live:
		fmt.Fprintf(out, "  provider    %s, paid: %s\n", s.settings.BaseURL, s.balance(ctx))
	case s.studio.simulator != nil:
		fmt.Fprintln(out, "  provider    simulated: nothing is paid, the pictures are drawn here")
	default:
		fmt.Fprintf(out, "  provider    %s\n", s.settings.BaseURL)
	}
	if !s.submitter.Rules.Callbacks {
		fmt.Fprintln(out, "  callbacks   cannot reach this machine: records are polled (PUBLIC_URL changes that)")
	}
	if to, err := url.Parse(s.settings.NotifyURL); err == nil && to.Host != "" {
		fmt.Fprintf(out, "  notices     are sent to %s://%s, signed by NOTIFY_KEY or else the key \"notify\" of %s\n", to.Scheme, to.Host, filepath.Join(s.data, keysFile))
	}
	fmt.Fprintf(out, "  data        %s\n", s.data)
	if s.lost {
		fmt.Fprintf(out, "  WARNING     %s\n", lostTasks)
	}
	fmt.Fprintln(out)
	if s.studio.mint == nil {
		fmt.Fprintf(out, "Tokens are those of %s.\n", s.settings.AuthIssuer)
		return
	}
	flags := s.flags()
	fmt.Fprintf(out, `Try, in another shell:
  bin/local demo%[2]s
  curl -s %[1]s/v1/tasks -H "Authorization: Bearer $(bin/local token%[2]s me)" -H 'Content-Type: application/json' -d '{"prompt":"a red bicycle"}'
  claude mcp add --transport http preset-local %[1]s/mcp --header "Authorization: Bearer $(bin/local token%[2]s me)"
`, s.URL, flags)
}

// flags are those by which another command of bin/local finds this server.
func (s *Server) flags() (flags string) {
	if addr := strings.TrimPrefix(s.URL, "http://"); addr != DefaultAddr {
		flags += " -addr " + addr
	}
	if s.data != DefaultData {
		flags += " -data " + s.data
	}
	return flags
}

// balance says what the provider's account holds.
func (s *Server) balance(ctx context.Context) string {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	b, err := s.submitter.Account.Balance(ctx)
	if err != nil {
		return fmt.Sprintf("the balance cannot be read (%v)", err)
	}
	return fmt.Sprintf("%g credits left", b.Credits)
}
