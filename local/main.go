// Command local runs every function in one process, for development: the same
// handlers behind one mux, with the embedded store and the pictures in one
// folder, a simulator in the provider's place, and a studio page. It needs
// neither AWS nor a key, and is not deployed.
//
//	local [-addr 127.0.0.1:8787] [-data .local] [-live]
//	local token [-addr 127.0.0.1:8787] [-data .local] OWNER
//	local service-token [ID]
//	local demo [-addr 127.0.0.1:8787] [-data .local]
//	local verify [-addr 127.0.0.1:8787] [-data .local] [-refused PROMPT] [-yes]
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/preset/nanobanana-functions/shared/auth/authtest"
	"github.com/preset/nanobanana-functions/shared/config"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, os.Args[1:], os.Getenv, os.Stdout, os.Stderr)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "local:", err)
		os.Exit(1)
	}
}

const (
	defaultAddr = "127.0.0.1:8787"
	defaultData = ".local"
)

// tokenLife is how long a token of the mint is good for.
const tokenLife = 30 * 24 * time.Hour

func run(ctx context.Context, args []string, getenv func(string) string, out, errOut io.Writer) error {
	if len(args) > 0 && args[0] == "service-token" {
		return serviceToken(args[1:], out)
	}
	command := "serve"
	if len(args) > 0 && (args[0] == "token" || args[0] == "demo" || args[0] == "verify") {
		command, args = args[0], args[1:]
	}
	flags := flag.NewFlagSet("local "+command, flag.ContinueOnError)
	flags.SetOutput(errOut)
	o := options{Getenv: getenv, Log: errOut}
	flags.StringVar(&o.Addr, "addr", defaultAddr, "`host:port` to listen on")
	flags.StringVar(&o.Data, "data", defaultData, "`folder` for tasks, pictures and keys")
	if command == "serve" {
		flags.BoolVar(&o.Live, "live", false, "use the real provider: NANOBANANA_API_KEY pays")
	}
	v := verifyOptions{pace: livePace}
	if command == "verify" {
		v.flags(flags)
	}
	if err := flags.Parse(args); err != nil {
		return err
	}
	switch {
	case command == "token" && flags.NArg() == 1:
		return token(o, flags.Arg(0), out)
	case command == "token":
		return fmt.Errorf("usage: local token [-addr HOST:PORT] [-data FOLDER] OWNER")
	case flags.NArg() > 0:
		return fmt.Errorf("unexpected %q; see local -h", flags.Arg(0))
	case command == "demo":
		return demo(ctx, o, out)
	case command == "verify":
		v.options = o
		return verify(ctx, v, os.Stdin, out)
	}
	return serve(ctx, o, out)
}

// serve runs until ctx ends.
func serve(ctx context.Context, o options, out io.Writer) error {
	s, err := start(o)
	if err != nil {
		return err
	}
	fmt.Fprintf(out, "listening on %s\n\n", s.URL)
	s.banner(ctx, out)
	select {
	case <-ctx.Done():
	case err = <-s.failed:
	}
	if closeErr := s.close(); err == nil {
		err = closeErr
	}
	return err
}

// token prints a token that a server at this address, with this data, accepts.
func token(o options, owner string, out io.Writer) error {
	mint, err := openMint(o.Data, origin(o.Addr, ""))
	if err != nil {
		return err
	}
	t, err := mint.Token(owner, tokenLife)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintln(out, t)
	return err
}

// serviceToken prints a new service token and what a stack's secret is to keep
// of it. Nothing is kept here.
func serviceToken(args []string, out io.Writer) error {
	id := "preset"
	if len(args) == 1 {
		id = args[0]
	}
	token, kept := config.NewServiceToken(id)
	if err := kept.Check(); err != nil || len(args) > 1 || id[0] == '-' { // somebody looks for a flag
		return errors.Join(errors.New("usage: local service-token [ID]"), err)
	}
	line, err := json.Marshal([]config.ServiceToken{kept})
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(out, `The token, shown this once; give it to the server that is to use it:

  %s

Put this into the stack's secret, or its entry into the list that is there:

  "serviceTokens": %s

It counts within 5 minutes. To replace a token, have both in the list for a while.
`, token, line)
	return err
}

// mintPath is where the mint stands in for Supabase.
const mintPath = "/auth/v1"

func openMint(data, origin string) (*authtest.Mint, error) {
	if err := os.MkdirAll(data, 0o700); err != nil {
		return nil, err
	}
	key, err := authtest.LoadOrCreateKey(data + "/mint.pem")
	if err != nil {
		return nil, err
	}
	return authtest.NewMint(key, origin+mintPath)
}
