// Command bootstrap is the submit function on Lambda.
package main

import (
	"log/slog"
	"os"
	"time"

	"github.com/aws/aws-lambda-go/lambda"

	"github.com/preset/nanobanana-functions/functions/submit"
	"github.com/preset/nanobanana-functions/shared/auth"
	"github.com/preset/nanobanana-functions/shared/config"
	"github.com/preset/nanobanana-functions/shared/httpapi"
	"github.com/preset/nanobanana-functions/shared/lifecycle"
	"github.com/preset/nanobanana-functions/shared/nanobanana"
	"github.com/preset/nanobanana-functions/shared/s3bucket"
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
	c, err := config.Load(os.Getenv, config.Lambda, config.NeedTable, config.NeedBucket, config.NeedSecretARN, config.NeedAuthIssuer)
	if err != nil {
		return err
	}
	store, err := taskdb.Open(c)
	if err != nil {
		return err
	}
	links, err := s3bucket.Links(c)
	if err != nil {
		return err
	}
	secrets := config.NewSecrets(c.Secret, time.Now)
	verifier, err := auth.FromSettings(c, secrets, nanobanana.NewHTTPClient())
	if err != nil {
		return err
	}
	service := lifecycle.New(c, store, secrets, links, nanobanana.NewHTTPClient(), log)
	view := httpapi.View{PublicURL: c.PublicURL, Secrets: secrets}
	lambda.Start(httpapi.Gateway(submit.New(submit.Function{Auth: verifier, Service: service, View: view, Log: log})))
	return nil
}
