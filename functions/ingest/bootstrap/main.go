// Command bootstrap is the ingest function on Lambda.
package main

import (
	"log/slog"
	"os"

	"github.com/aws/aws-lambda-go/lambda"

	"github.com/preset/nanobanana-functions/functions/ingest"
	"github.com/preset/nanobanana-functions/shared/config"
	"github.com/preset/nanobanana-functions/shared/lifecycle"
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
	c, err := config.Load(os.Getenv, config.Lambda, config.NeedTable, config.NeedBucket)
	if err != nil {
		return err
	}
	store, err := taskdb.Open(c)
	if err != nil {
		return err
	}
	bucket, err := s3bucket.Open(c)
	if err != nil {
		return err
	}
	ingester := lifecycle.NewIngester(c, store, bucket, log)
	lambda.Start(ingest.New(ingest.Function{Ingester: ingester, Log: log}))
	return nil
}
