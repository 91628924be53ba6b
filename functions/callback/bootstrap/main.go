// Command bootstrap is the callback function on Lambda.
package main

import (
	"log/slog"

	"github.com/preset/nanobanana-functions/functions/callback"
	"github.com/preset/nanobanana-functions/shared/aws/secret"
	"github.com/preset/nanobanana-functions/shared/aws/taskdb"
	"github.com/preset/nanobanana-functions/shared/config"
	"github.com/preset/nanobanana-functions/shared/httpapi"
	"github.com/preset/nanobanana-functions/shared/lifecycle"
	"github.com/preset/nanobanana-functions/shared/outbound"
)

func main() { config.Start(build, config.NeedTable, config.NeedSecretARN) }

func build(c config.Settings, log *slog.Logger, prepare func(...config.Step)) (any, error) {
	store := taskdb.Open(c.Table)
	secrets := secret.Open(c.SecretARN, log)
	prepare(secrets.Prepare, store.Prepare)
	service := lifecycle.New(c, store, secrets, outbound.NewClient(), log)
	return httpapi.Gateway(callback.New(callback.Function{Secrets: secrets, Service: service, Log: log})), nil
}
