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

// keys are the keys with which the local run signs. They are stored, so that image
// links, callbacks under way and the receiver of notices survive a restart.
type keys struct {
	Callback string `json:"callback"`
	Image    string `json:"image"`
	Bucket   string `json:"bucket"`
	Notify   string `json:"notify"`
}

// keysFile holds the keys, in the data folder.
const keysFile = "keys.json"

// openKeys reads the keys from the data folder, and creates those that are missing.
func openKeys(data string) (keys, error) {
	path := filepath.Join(data, keysFile)
	b, err := os.ReadFile(path)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return keys{}, err
	}
	var k keys
	if err == nil {
		if err := json.Unmarshal(b, &k); err != nil {
			return keys{}, fmt.Errorf("%s cannot be read; delete it to get new keys (existing image links then stop working): %w", path, err)
		}
	}
	if k.Notify != "" {
		return k, nil
	}
	// There are no keys yet, or they are from a release without notices.
	for _, key := range []*string{&k.Callback, &k.Image, &k.Bucket} {
		*key = cmp.Or(*key, rand.Text()+rand.Text())
	}
	k.Notify = "whsec_" + rand.Text() + rand.Text() // valid base64, as the signer expects
	if b, err = json.Marshal(k); err != nil {
		return keys{}, err
	}
	return k, os.WriteFile(path, b, 0o600)
}

// fill sets the keys that the environment does not set.
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
