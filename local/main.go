// Command local runs every function in one process, for development: the same
// handlers behind one mux, with the embedded store and the pictures in one
// folder, a simulator in the provider's place, and a studio page. It needs
// neither AWS nor a key, and is not deployed.
//
//	local [-addr 127.0.0.1:8787] [-data .local] [-live]
//	local token [-addr 127.0.0.1:8787] [-data .local] OWNER
//	local service-token [ID]
//	local personal-token OWNER [ID]
//	local demo [-addr 127.0.0.1:8787] [-data .local]
//	local verify [-addr 127.0.0.1:8787] [-data .local] [-refused PROMPT] [-yes]
package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/preset/nanobanana-functions/shared/auth/authtest"
)

func main() {
	signal.Ignore(syscall.SIGPIPE) // who reads what is printed may leave
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

func run(ctx context.Context, args []string, getenv func(string) string, out, errOut io.Writer) error {
	if len(args) > 0 && args[0] == "service-token" {
		return serviceToken(args[1:], out)
	}
	if len(args) > 0 && args[0] == "personal-token" {
		return personalToken(args[1:], out)
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
		return printToken(o, flags.Arg(0), out)
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
	printing, stop := context.WithCancel(ctx)
	printed := make(chan struct{})
	go func() {
		defer close(printed)
		s.troubles.print(printing, out)
	}()
	select {
	case <-ctx.Done():
	case err = <-s.failed:
	case <-s.store.Damaged():
		err = s.store.Damage()
	}
	stop()
	closeErr := s.close()
	select {
	case <-printed:
	case <-time.After(time.Second): // nobody reads what is printed
	}
	if err == nil {
		err = closeErr
	}
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
