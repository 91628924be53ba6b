// Command bootstrap is the tasks function on Lambda.
package main

import (
	"log/slog"

	"github.com/preset/nanobanana-functions/functions/tasks"
	"github.com/preset/nanobanana-functions/shared/auth"
	"github.com/preset/nanobanana-functions/shared/aws/secret"
	"github.com/preset/nanobanana-functions/shared/aws/taskdb"
	"github.com/preset/nanobanana-functions/shared/config"
	"github.com/preset/nanobanana-functions/shared/httpapi"
	"github.com/preset/nanobanana-functions/shared/lifecycle"
	"github.com/preset/nanobanana-functions/shared/outbound"
)

func main() { config.Start(build, config.NeedTable, config.NeedSecretARN, config.NeedAuthIssuer) }

func build(c config.Settings, log *slog.Logger, prepare func(...config.Step)) (any, error) {
	store := taskdb.Open(c.Table)
	secrets := secret.Open(c.SecretARN, log)
	client := outbound.NewClient()
	verifier, err := auth.FromSettings(c, secrets, client, log)
	if err != nil {
		return nil, err
	}
	prepare(secrets.Prepare, verifier.Prepare, store.Prepare)
	view := httpapi.View{PublicURL: c.PublicURL, Secrets: secrets}
	return httpapi.Gateway(tasks.New(tasks.Function{
		Auth: verifier, Store: store, View: view, WaitMax: c.WaitMax, Notify: c.Notifies(),
		Reader: lifecycle.NewReader(lifecycle.New(c, store, secrets, client, log)), Now: outbound.WallClock, Log: log,
	})), nil
}
