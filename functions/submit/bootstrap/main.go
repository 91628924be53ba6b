// Command bootstrap is the submit function on Lambda.
package main

import (
	"log/slog"

	"github.com/preset/nanobanana-functions/functions/submit"
	"github.com/preset/nanobanana-functions/shared/auth"
	"github.com/preset/nanobanana-functions/shared/aws/s3link"
	"github.com/preset/nanobanana-functions/shared/aws/secret"
	"github.com/preset/nanobanana-functions/shared/aws/taskdb"
	"github.com/preset/nanobanana-functions/shared/config"
	"github.com/preset/nanobanana-functions/shared/httpapi"
	"github.com/preset/nanobanana-functions/shared/lifecycle"
	"github.com/preset/nanobanana-functions/shared/outbound"
)

func main() {
	config.Start(build, config.NeedTable, config.NeedBucket, config.NeedSecretARN, config.NeedAuthIssuer)
}

func build(c config.Settings, log *slog.Logger, prepare func(...config.Step)) (any, error) {
	store := taskdb.Open(c.Table)
	links := s3link.Open(c.Bucket)
	secrets := secret.Open(c.SecretARN, log)
	client := outbound.NewClient()
	verifier, err := auth.FromSettings(c, secrets, client, log)
	if err != nil {
		return nil, err
	}
	submitter := lifecycle.NewSubmitter(c, lifecycle.NewPoster(c, store, secrets, links, client, log), client)
	prepare(verifier.Prepare, submitter.Account.PreparePauses, submitter.Account.Prepare, submitter.Filter.Prepare)
	view := httpapi.View{PublicURL: c.PublicURL, Secrets: secrets}
	return httpapi.Gateway(submit.New(submit.Function{Auth: verifier, Submitter: submitter, View: view, Log: log})), nil
}
