// Command bootstrap is the tasks function on Lambda.
package main

import (
	"log/slog"
	"time"

	"github.com/preset/nanobanana-functions/functions/tasks"
	"github.com/preset/nanobanana-functions/shared/auth"
	"github.com/preset/nanobanana-functions/shared/config"
	"github.com/preset/nanobanana-functions/shared/httpapi"
	"github.com/preset/nanobanana-functions/shared/nanobanana"
	"github.com/preset/nanobanana-functions/shared/taskdb"
)

func main() { config.Start(build, config.NeedTable, config.NeedSecretARN, config.NeedAuthIssuer) }

func build(c config.Settings, log *slog.Logger) (any, error) {
	store, err := taskdb.Open(c)
	if err != nil {
		return nil, err
	}
	secrets := config.NewSecrets(c.Secret, time.Now)
	verifier, err := auth.FromSettings(c, secrets, nanobanana.NewHTTPClient())
	if err != nil {
		return nil, err
	}
	view := httpapi.View{PublicURL: c.PublicURL, Secrets: secrets}
	return httpapi.Gateway(tasks.New(tasks.Function{Auth: verifier, Store: store, View: view, WaitMax: c.WaitMax, Log: log})), nil
}
