// Command bootstrap is the notify function on Lambda.
package main

import (
	"log/slog"

	"github.com/preset/nanobanana-functions/functions/notify"
	"github.com/preset/nanobanana-functions/shared/aws/secret"
	"github.com/preset/nanobanana-functions/shared/aws/taskdb"
	"github.com/preset/nanobanana-functions/shared/config"
)

func main() { config.Start(build, config.NeedTable, config.NeedSecretARN) }

func build(c config.Settings, log *slog.Logger) (any, error) {
	return notify.New(notify.FromSettings(c, taskdb.Open(c.Table), secret.Open(c.SecretARN, log), log)), nil
}
