// Command local runs every function in one process, for development, with a
// simulated provider and a studio page. It needs no AWS account and no API key, and
// is not deployed. Its other commands print tokens, make a demonstration picture,
// and verify a live account.
//
//	local [-addr 127.0.0.1:8787] [-data .local] [-live]
//	local token [-addr 127.0.0.1:8787] [-data .local] [OWNER]
//	local demo [-addr 127.0.0.1:8787] [-data .local]
//	local verify [-addr 127.0.0.1:8787] [-data .local] [-refused PROMPT] [-wait 5m] [-yes]
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"runtime/debug"
	"slices"
	"syscall"

	"github.com/preset/nanobanana-functions/local/serve"
	"github.com/preset/nanobanana-functions/local/signin"
	"github.com/preset/nanobanana-functions/local/verify"
)

func main() {
	signal.Ignore(syscall.SIGPIPE) // the reader of the output may have gone; go on
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, os.Args[1:], os.Getenv, os.Stdout, os.Stderr)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "local:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string, getenv func(string) string, out, errOut io.Writer) error {
	command := "serve"
	if len(args) > 0 && slices.Contains([]string{"token", "demo", "verify"}, args[0]) {
		command, args = args[0], args[1:]
	}
	flags := flag.NewFlagSet("local "+command, flag.ContinueOnError)
	flags.SetOutput(errOut)
	addr := flags.String("addr", serve.DefaultAddr, "`host:port` to listen on")
	data := flags.String("data", serve.DefaultData, "`folder` for tasks, pictures and keys")
	var live bool
	var v verify.Options
	switch command {
	case "serve":
		flags.BoolVar(&live, "live", false, "use the real provider, which costs the account of NANOBANANA_API_KEY credits")
	case "verify":
		v.Flags(flags)
	}
	if err := flags.Parse(args); err != nil {
		return err
	}
	switch {
	case command == "token" && flags.NArg() == 0:
		return printToken(*addr, *data, signin.SampleOwner, out, errOut)
	case command == "token" && flags.NArg() == 1:
		return printToken(*addr, *data, flags.Arg(0), out, errOut)
	case command == "token":
		return errors.New("usage: local token [-addr HOST:PORT] [-data FOLDER] [OWNER]")
	case flags.NArg() > 0:
		return fmt.Errorf("unexpected argument %q; see local -h", flags.Arg(0))
	case command == "demo":
		return demo(ctx, *addr, *data, out)
	case command == "verify":
		v.Addr, v.Data, v.Origin, v.Getenv = *addr, *data, signin.Origin(*addr, ""), getenv
		return verify.Run(ctx, v, os.Stdin, out)
	}
	collectLess(getenv)
	return serve.Run(ctx, serve.Options{Addr: *addr, Data: *data, Live: live, Getenv: getenv, Log: errOut}, out)
}

// collectLess lets the heap grow to five times what is in use, not to twice, but to 2 GiB
// at most: little is in use except decoded pictures, which are the reason for the limit.
// It changes nothing that GOGC or GOMEMLIMIT sets.
func collectLess(getenv func(string) string) {
	if getenv("GOGC") == "" {
		debug.SetGCPercent(400)
	}
	if getenv("GOMEMLIMIT") == "" {
		debug.SetMemoryLimit(2 << 30)
	}
}
