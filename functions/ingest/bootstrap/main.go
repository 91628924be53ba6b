// Command bootstrap is the ingest function on Lambda.
package main

import (
	"log/slog"
	"os"
	"path/filepath"

	"github.com/preset/nanobanana-functions/functions/ingest"
	"github.com/preset/nanobanana-functions/shared/aws/s3bucket"
	"github.com/preset/nanobanana-functions/shared/aws/s3link"
	"github.com/preset/nanobanana-functions/shared/aws/taskdb"
	"github.com/preset/nanobanana-functions/shared/config"
	"github.com/preset/nanobanana-functions/shared/lifecycle"
	"github.com/preset/nanobanana-functions/shared/media/picture"
)

func main() { config.Start(build, config.NeedTable, config.NeedBucket) }

func build(c config.Settings, log *slog.Logger, prepare func(...config.Step)) (any, error) {
	store := taskdb.Open(c.Table)
	prepare(store.Prepare)
	ingester := lifecycle.NewIngester(c, store, s3bucket.Open(c.Bucket), s3link.Open(c.Bucket), picture.Open, picture.Copy, log)
	if err := ingester.DownloadTo(filepath.Join(os.TempDir(), "nanobanana-downloads")); err != nil {
		return nil, err
	}
	return ingest.New(ingest.Function{Ingester: ingester, Log: log}), nil
}
