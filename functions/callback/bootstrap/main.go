// Command bootstrap is the callback function on Lambda.
package main

import (
	"log/slog"
	"os"
	"time"

	"github.com/aws/aws-lambda-go/lambda"

	"github.com/preset/nanobanana-functions/functions/callback"
	"github.com/preset/nanobanana-functions/shared/config"
	"github.com/preset/nanobanana-functions/shared/httpapi"
	"github.com/preset/nanobanana-functions/shared/lifecycle"
	"github.com/preset/nanobanana-functions/shared/nanobanana"
	"github.com/preset/nanobanana-functions/shared/taskdb"
)

func main() {
	log := slog.New(slog.NewJSONHandler(os.Stdout, nil))
	if err := run(log); err != nil {
		log.Error("cannot start", "error", err)
		os.Exit(1)
	}
}

func run(log *slog.Logger) error {
	c, err := config.Load(os.Getenv, config.Lambda, config.NeedTable, config.NeedSecretARN)
	if err != nil {
		return err
	}
	store, err := taskdb.Open(c)
	if err != nil {
		return err
	}
	secrets := config.NewSecrets(c.Secret, time.Now)
	service := lifecycle.New(c, store, secrets, nil, nanobanana.NewHTTPClient(), log)
	lambda.Start(httpapi.Gateway(callback.New(callback.Function{Secrets: secrets, Service: service, Log: log})))
	return nil
}
