// Command bootstrap is the notify function on Lambda.
package main

import (
	"log/slog"

	"github.com/preset/nanobanana-functions/functions/notify"
	"github.com/preset/nanobanana-functions/shared/aws/secret"
	"github.com/preset/nanobanana-functions/shared/aws/taskdb"
	"github.com/preset/nanobanana-functions/shared/config"
	"github.com/preset/nanobanana-functions/shared/outbound"
)

func main() { config.Start(build, config.NeedTable, config.NeedSecretARN) }

func build(c config.Settings, log *slog.Logger, prepare func(...config.Step)) (any, error) {
	store, secrets := taskdb.Open(c.Table), secret.Open(c.SecretARN, log)
	prepare(secrets.Prepare, store.Prepare)
	return notify.New(notify.FromSettings(c, store, secrets, outbound.NewClient(), log)), nil
}
