// Command bootstrap is the sweep function on Lambda.
package main

import (
	"log/slog"
	"time"

	"github.com/preset/nanobanana-functions/functions/sweep"
	"github.com/preset/nanobanana-functions/shared/config"
	"github.com/preset/nanobanana-functions/shared/lifecycle"
	"github.com/preset/nanobanana-functions/shared/nanobanana"
	"github.com/preset/nanobanana-functions/shared/s3bucket"
	"github.com/preset/nanobanana-functions/shared/taskdb"
)

func main() { config.Start(build, config.NeedTable, config.NeedBucket, config.NeedSecretARN) }

func build(c config.Settings, log *slog.Logger) (any, error) {
	store, err := taskdb.Open(c)
	if err != nil {
		return nil, err
	}
	links, err := s3bucket.Links(c)
	if err != nil {
		return nil, err
	}
	secrets := config.NewSecrets(c.Secret, time.Now)
	service := lifecycle.New(c, store, secrets, links, nanobanana.NewHTTPClient(), log)
	return sweep.New(sweep.Function{Service: service, Log: log}), nil
}
