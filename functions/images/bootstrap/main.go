// Command bootstrap is the images function on Lambda.
package main

import (
	"log/slog"

	"github.com/preset/nanobanana-functions/functions/images"
	"github.com/preset/nanobanana-functions/shared/aws/s3link"
	"github.com/preset/nanobanana-functions/shared/aws/secret"
	"github.com/preset/nanobanana-functions/shared/config"
	"github.com/preset/nanobanana-functions/shared/httpapi"
)

func main() { config.Start(build, config.NeedBucket, config.NeedSecretARN) }

func build(c config.Settings, log *slog.Logger, prepare func(...config.Step)) (any, error) {
	secrets := secret.Open(c.SecretARN, log)
	prepare(secrets.Prepare)
	f := images.Function{Secrets: secrets, Links: s3link.Open(c.Bucket), Log: log}
	return httpapi.Gateway(images.New(f)), nil
}
