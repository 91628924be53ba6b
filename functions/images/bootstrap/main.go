// Command bootstrap is the images function on Lambda.
package main

import (
	"log/slog"
	"os"
	"time"

	"github.com/aws/aws-lambda-go/lambda"

	"github.com/preset/nanobanana-functions/functions/images"
	"github.com/preset/nanobanana-functions/shared/config"
	"github.com/preset/nanobanana-functions/shared/httpapi"
	"github.com/preset/nanobanana-functions/shared/s3bucket"
)

func main() {
	log := slog.New(slog.NewJSONHandler(os.Stdout, nil))
	if err := run(log); err != nil {
		log.Error("cannot start", "error", err)
		os.Exit(1)
	}
}

func run(log *slog.Logger) error {
	c, err := config.Load(os.Getenv, config.Lambda, config.NeedBucket, config.NeedSecretARN)
	if err != nil {
		return err
	}
	links, err := s3bucket.Links(c)
	if err != nil {
		return err
	}
	secrets := config.NewSecrets(c.Secret, time.Now)
	lambda.Start(httpapi.Gateway(images.New(images.Function{Secrets: secrets, Links: links, Log: log})))
	return nil
}
