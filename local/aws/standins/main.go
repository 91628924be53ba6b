// Command standins is what the functions have around them under `sam local
// invoke`: AWS, the provider, and who signs users in, all at one address. It
// also runs them without containers, and tells the story of a picture by them.
// local/aws/sam starts it, at the top of the repository.
//
//	standins serve HOST               until SIGTERM; HOST is what the functions call this machine
//	standins event NAME               prints events/NAME.json with a token and signed paths
//	standins invoke FUNCTION FILE     has a built function handle an event, and prints its answer
//	standins story COMMAND...         COMMAND FUNCTION FILE invokes
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"
)

// dir is where everything is kept that is made here.
const dir = ".aws/sam"

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, os.Args[1:], os.Stdout)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "standins:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string, out io.Writer) error {
	switch {
	case len(args) == 2 && args[0] == "serve":
		return serve(ctx, args[1])
	case len(args) == 2 && args[0] == "event":
		return event(ctx, args[1], out)
	case len(args) == 3 && args[0] == "invoke":
		return invoke(ctx, args[1], args[2], out)
	case len(args) >= 2 && args[0] == "story":
		return tell(ctx, args[1:], out)
	}
	return errors.New("usage: standins serve HOST, event NAME, invoke FUNCTION FILE or story COMMAND")
}
