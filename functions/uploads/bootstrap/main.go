// Command bootstrap is the uploads function on Lambda.
package main

import (
	"log/slog"

	"github.com/preset/nanobanana-functions/functions/uploads"
	"github.com/preset/nanobanana-functions/shared/auth"
	"github.com/preset/nanobanana-functions/shared/aws/s3link"
	"github.com/preset/nanobanana-functions/shared/aws/secret"
	"github.com/preset/nanobanana-functions/shared/aws/taskdb"
	"github.com/preset/nanobanana-functions/shared/config"
	"github.com/preset/nanobanana-functions/shared/httpapi"
	"github.com/preset/nanobanana-functions/shared/outbound"
)

func main() {
	config.Start(build, config.NeedTable, config.NeedBucket, config.NeedSecretARN, config.NeedAuthIssuer)
}

func build(c config.Settings, log *slog.Logger, prepare func(...config.Step)) (any, error) {
	secrets := secret.Open(c.SecretARN, log)
	verifier, err := auth.FromSettings(c, secrets, outbound.NewClient(), log)
	if err != nil {
		return nil, err
	}
	store := taskdb.Open(c.Table)
	prepare(secrets.Prepare, verifier.Prepare, store.Prepare)
	links := s3link.Open(c.Bucket)
	return httpapi.Gateway(uploads.New(uploads.Function{
		Auth: verifier, Store: store, Links: links, PerDay: c.UploadsPerDay, Now: outbound.WallClock, Log: log,
	})), nil
}
