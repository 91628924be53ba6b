// Package taskdb is the place of the DynamoDB Store. It is not built yet: a
// function on Lambda says so when it starts. The local run has taskbolt.
package taskdb

import (
	"errors"

	"github.com/preset/nanobanana-functions/shared/config"
	"github.com/preset/nanobanana-functions/shared/task"
)

// ErrNotBuilt says that there is no DynamoDB Store yet.
var ErrNotBuilt = errors.New("taskdb: the DynamoDB store is not built yet; go run ./local runs the same functions on the embedded one")

// Open will open the table of the settings.
func Open(config.Settings) (task.Store, error) { return nil, ErrNotBuilt }
