package config

import (
	"log/slog"
	"os"

	"github.com/aws/aws-lambda-go/lambda"
)

// Start is the main of a function on Lambda: it loads the settings, calls build
// for the handler (any that lambda.Start takes), and serves until Lambda ends the
// process. If it cannot start, it logs one line and exits with status 1; Lambda
// then starts another process.
func Start(build func(Settings, *slog.Logger) (handler any, err error), needs ...Need) {
	readRootsOnce(systemBundle, systemFolders)
	var level slog.LevelVar
	log := slog.New(slog.NewJSONHandler(os.Stdout, &slog.HandlerOptions{Level: &level}))
	slog.SetDefault(log) // so that what libraries print by package log is JSON too
	c, err := Load(os.Getenv, Lambda, needs...)
	var handler any
	if err == nil {
		level.Set(c.LogLevel)
		handler, err = build(c, log)
	}
	if err != nil {
		log.Error("cannot start", "error", err)
		os.Exit(1)
	}
	lambda.Start(handler)
}
