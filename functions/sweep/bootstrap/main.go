// Command bootstrap is the sweep function on Lambda.
package main

import (
	"log/slog"

	"github.com/preset/nanobanana-functions/functions/sweep"
	"github.com/preset/nanobanana-functions/shared/aws/s3link"
	"github.com/preset/nanobanana-functions/shared/aws/secret"
	"github.com/preset/nanobanana-functions/shared/aws/taskdb"
	"github.com/preset/nanobanana-functions/shared/config"
	"github.com/preset/nanobanana-functions/shared/lifecycle"
	"github.com/preset/nanobanana-functions/shared/outbound"
)

func main() { config.Start(build, config.NeedTable, config.NeedBucket, config.NeedSecretARN) }

func build(c config.Settings, log *slog.Logger, prepare func(...config.Step)) (any, error) {
	store := taskdb.Open(c.Table)
	links := s3link.Open(c.Bucket)
	secrets := secret.Open(c.SecretARN, log)
	prepare(secrets.Prepare, store.Prepare)
	sweeper := lifecycle.NewSweeper(c, lifecycle.NewPoster(c, store, secrets, links, outbound.NewClient(), log))
	return sweep.New(sweep.Function{Sweeper: sweeper, Log: log}), nil
}
