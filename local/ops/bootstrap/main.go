// Command ops is the operator's tool. bin/ops -h lists its commands.
package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"

	"github.com/preset/nanobanana-functions/local/ops"
	"github.com/preset/nanobanana-functions/local/serve"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	exit := ops.Main(ctx, os.Args[1:], ops.Options{
		Getenv: os.Getenv, In: os.Stdin, Out: os.Stdout, Err: os.Stderr,
		OpenData: func(folder string, write bool) (*ops.Env, func() error, error) {
			return serve.OpenStopped(folder, os.Getenv, os.Stderr, write)
		},
	})
	stop()
	os.Exit(int(exit))
}
