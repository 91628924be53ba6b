// Command standins serves all that the functions call under `sam local invoke`: AWS, the
// provider, and the identity provider, at one address. It can also run the functions
// without containers, and make a picture function by function. local/aws/sam starts it
// in the repository's root.
//
//	standins serve HOST               serves until SIGTERM; the functions reach this machine as HOST
//	standins event NAME               prints events/NAME.json with a token and signed paths
//	standins invoke FUNCTION FILE     invokes a built function with an event, and prints its answer
//	standins story COMMAND...         makes a picture; COMMAND FUNCTION FILE invokes a function
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

// dir holds all files that are made here.
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
		return makePicture(ctx, args[1:], out)
	}
	return errors.New("usage: standins serve HOST, event NAME, invoke FUNCTION FILE or story COMMAND")
}
