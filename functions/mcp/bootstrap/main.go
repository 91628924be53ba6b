// Command bootstrap is the mcp function on Lambda.
package main

import (
	"log/slog"
	"net/http"

	"github.com/preset/nanobanana-functions/functions/credits"
	"github.com/preset/nanobanana-functions/functions/images"
	"github.com/preset/nanobanana-functions/functions/mcp"
	"github.com/preset/nanobanana-functions/functions/mcp/oauthproxy"
	"github.com/preset/nanobanana-functions/functions/submit"
	"github.com/preset/nanobanana-functions/functions/tasks"
	"github.com/preset/nanobanana-functions/functions/uploads"
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
	verifier, err := auth.ForClients(c, secrets, client, log)
	if err != nil {
		return nil, err
	}
	submitter := lifecycle.NewSubmitter(c, lifecycle.NewPoster(c, store, secrets, links, client, log), client)
	prepare(secrets.Prepare, verifier.Prepare, submitter.Account.PreparePauses)
	view := httpapi.View{PublicURL: c.PublicURL, Secrets: secrets}

	api := http.NewServeMux()
	submit.Register(api.Handle, submit.Function{Auth: verifier, Submitter: submitter, View: view, Log: log})
	tasks.Register(api.Handle, tasks.Function{
		Auth: verifier, Store: store, View: view, WaitMax: c.WaitMax, Notify: c.Notifies(),
		Reader: lifecycle.NewReader(submitter.Service), Now: outbound.WallClock, Log: log,
	})
	credits.Register(api.Handle, credits.Function{
		Auth: verifier, Account: submitter.Account, Prices: c.Prices, Quota: c.DailyQuota, LowBelow: c.LowCredits, Log: log,
	})
	uploads.Register(api.Handle, uploads.Function{
		Auth: verifier, Store: store, Links: links, PerDay: c.UploadsPerDay, Now: outbound.WallClock, Log: log,
	})
	images.Register(api.Handle, images.Function{Secrets: secrets, Links: links, Log: log})
	mux := http.NewServeMux()
	mcp.Register(mux.Handle, mcp.Function{Auth: verifier, API: api, HTTP: client, Settings: c, Log: log})
	oauthproxy.Register(mux.Handle, oauthproxy.Function{HTTP: client, Settings: c, Now: outbound.WallClock, Log: log})
	return httpapi.Gateway(httpapi.Mux(log, mux)), nil
}
