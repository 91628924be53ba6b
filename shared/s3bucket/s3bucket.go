// Package s3bucket is the place of the S3 Bucket. It is not built yet: a
// function on Lambda says so when it starts. The local run has media.DirBucket.
package s3bucket

import (
	"errors"

	"github.com/preset/nanobanana-functions/shared/config"
	"github.com/preset/nanobanana-functions/shared/media"
)

// ErrNotBuilt says that there is no S3 Bucket yet.
var ErrNotBuilt = errors.New("s3bucket: the S3 bucket is not built yet; go run ./local runs the same functions on a folder")

// Open will open the bucket of the settings.
func Open(config.Settings) (media.Bucket, error) { return nil, ErrNotBuilt }

// Links will sign links to the bucket of the settings.
func Links(config.Settings) (media.Linker, error) { return nil, ErrNotBuilt }
