package config

import (
	"context"
	"log/slog"
	"os"
	"sync"
	"time"

	"github.com/aws/aws-lambda-go/lambda"

	"github.com/preset/nanobanana-functions/shared/metric"
)

// prepareTimeout is how long a start waits for its steps. Lambda gives it 10 s, but
// somebody may be waiting for an event that does not need them.
const prepareTimeout = time.Second

// A Step gets what the first event needs, such as the secret. It returns soon after
// ctx ends. A failure leaves no trace, so that the first event asks anew.
type Step func(ctx context.Context) error

// Start is the main of a function on Lambda: it loads the settings, calls build
// for the handler (any that lambda.Start takes), runs the steps that build gave to
// prepare, for a second at most, and serves until Lambda ends the process. If it
// cannot start, it logs one line and exits with status 1; Lambda then starts another
// process. A step that fails does not stop the start.
func Start(build func(c Settings, log *slog.Logger, prepare func(...Step)) (handler any, err error), needs ...Need) {
	suitMemory()
	readRootsOnce(systemBundle, systemFolders)
	var level slog.LevelVar
	lines := slog.NewJSONHandler(os.Stdout, &slog.HandlerOptions{Level: &level})
	log := slog.New(metric.NewHandler(lines, os.Getenv("METRICS_NAMESPACE"))) // counts faults of the settings, too
	slog.SetDefault(log)                                                      // so that what libraries print by package log is JSON too
	c, err := Load(os.Getenv, Lambda, needs...)
	var handler any
	var steps []Step
	if err == nil {
		level.Set(c.LogLevel)
		handler, err = build(c, log, func(s ...Step) { steps = append(steps, s...) })
	}
	if err != nil {
		log.Error("cannot start", "error", err)
		os.Exit(1)
	}
	runSteps(log, steps)
	lambda.Start(handler)
}

// runSteps runs the steps beside each other until all have returned. Lambda may freeze
// the process as soon as it asks for an event: a request that is running then would be
// lost, and the first event would get its error.
func runSteps(log *slog.Logger, steps []Step) {
	ctx, cancel := context.WithTimeout(context.Background(), prepareTimeout)
	defer cancel()
	var running sync.WaitGroup
	for _, step := range steps {
		running.Go(func() {
			if err := step(ctx); err != nil {
				log.Info("not prepared at the start; the first event that needs it asks again", "error", err)
			}
		})
	}
	running.Wait()
}
