// Command bootstrap is the uploads function on Lambda.
package main

import (
	"log/slog"
	"time"

	"github.com/preset/nanobanana-functions/functions/uploads"
	"github.com/preset/nanobanana-functions/shared/auth"
	"github.com/preset/nanobanana-functions/shared/aws/s3link"
	"github.com/preset/nanobanana-functions/shared/aws/secret"
	"github.com/preset/nanobanana-functions/shared/config"
	"github.com/preset/nanobanana-functions/shared/httpapi"
	"github.com/preset/nanobanana-functions/shared/outbound"
)

func main() { config.Start(build, config.NeedBucket, config.NeedSecretARN, config.NeedAuthIssuer) }

func build(c config.Settings, log *slog.Logger, prepare func(...config.Step)) (any, error) {
	secrets := secret.Open(c.SecretARN, log)
	verifier, err := auth.FromSettings(c, secrets, outbound.NewClient(), log)
	if err != nil {
		return nil, err
	}
	prepare(secrets.Prepare, verifier.Prepare)
	links := s3link.Open(c.Bucket)
	return httpapi.Gateway(uploads.New(uploads.Function{Auth: verifier, Links: links, Now: time.Now, Log: log})), nil
}
