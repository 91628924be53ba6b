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

func build(c config.Settings, log *slog.Logger) (any, error) {
	secrets := secret.Open(c.SecretARN, log)
	service := lifecycle.New(c, taskdb.Open(c.Table), secrets, outbound.NewClient(), log)
	return httpapi.Gateway(callback.New(callback.Function{Secrets: secrets, Service: service, Log: log})), nil
}
