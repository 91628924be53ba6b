package serve

import (
	"cmp"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/preset/nanobanana-functions/shared/auth/token"
	"github.com/preset/nanobanana-functions/shared/config"
)

// keys are what the local run signs with. They are kept, so that image links,
// callbacks on their way and the receiver of notices outlive a restart.
type keys struct {
	Callback string `json:"callback"`
	Image    string `json:"image"`
	Bucket   string `json:"bucket"`
	Notify   string `json:"notify"`
}

// keysFile is where the keys are, in the data folder.
const keysFile = "keys.json"

// openKeys reads the keys from the data folder, or makes them.
func openKeys(data string) (keys, error) {
	path := filepath.Join(data, keysFile)
	b, err := os.ReadFile(path)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return keys{}, err
	}
	var k keys
	if err == nil {
		if err := json.Unmarshal(b, &k); err != nil {
			return keys{}, fmt.Errorf("%s is not what this program wrote; delete it to begin anew: %w", path, err)
		}
	}
	if k.Notify != "" {
		return k, nil
	}
	// There are none yet, or those of a release that had no notices.
	for _, key := range []*string{&k.Callback, &k.Image, &k.Bucket} {
		*key = cmp.Or(*key, rand.Text()+rand.Text())
	}
	k.Notify = "whsec_" + rand.Text() + rand.Text() // whose letters are base64's, too
	if b, err = json.Marshal(k); err != nil {
		return keys{}, err
	}
	return k, os.WriteFile(path, b, 0o600)
}

// fill puts the keys in the settings where the environment has none.
func (k keys) fill(c *config.Settings) {
	if c.CallbackKey == "" {
		c.CallbackKey = token.Hidden(k.Callback)
	}
	if c.ImageKey == "" {
		c.ImageKey = token.Hidden(k.Image)
	}
	if c.NotifyKey == "" {
		c.NotifyKey = token.Hidden(k.Notify)
	}
}
