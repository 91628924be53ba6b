// Command bootstrap is the credits function on Lambda.
package main

import (
	"log/slog"

	"github.com/preset/nanobanana-functions/functions/credits"
	"github.com/preset/nanobanana-functions/shared/auth"
	"github.com/preset/nanobanana-functions/shared/aws/secret"
	"github.com/preset/nanobanana-functions/shared/aws/taskdb"
	"github.com/preset/nanobanana-functions/shared/config"
	"github.com/preset/nanobanana-functions/shared/lifecycle"
	"github.com/preset/nanobanana-functions/shared/outbound"
	"github.com/preset/nanobanana-functions/shared/webhook"
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
	account := lifecycle.NewAccount(c, store, secrets, client, log)
	prepare(secrets.Prepare, verifier.Prepare, account.PreparePauses)
	return credits.OnLambda(credits.Function{
		Auth: verifier, Account: account, Prices: c.Prices, Quota: c.DailyQuota, LowBelow: c.LowCredits, Budget: c.DailyBudget,
		Sender: webhook.FromSettings(c, secrets, client), Log: log,
	}), nil
}
