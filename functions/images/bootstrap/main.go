// Command bootstrap is the images function on Lambda.
package main

import (
	"log/slog"
	"time"

	"github.com/preset/nanobanana-functions/functions/images"
	"github.com/preset/nanobanana-functions/shared/config"
	"github.com/preset/nanobanana-functions/shared/httpapi"
	"github.com/preset/nanobanana-functions/shared/s3bucket"
)

func main() { config.Start(build, config.NeedBucket, config.NeedSecretARN) }

func build(c config.Settings, log *slog.Logger) (any, error) {
	links, err := s3bucket.Links(c)
	if err != nil {
		return nil, err
	}
	secrets := config.NewSecrets(c.Secret, time.Now)
	return httpapi.Gateway(images.New(images.Function{Secrets: secrets, Links: links, Log: log})), nil
}
