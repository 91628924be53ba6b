package main

import (
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/preset/nanobanana-functions/shared/config"
)

// keys are what the local run signs with. They are kept, so that image links
// and callbacks on their way outlive a restart.
type keys struct {
	Callback string `json:"callback"`
	Image    string `json:"image"`
	Bucket   string `json:"bucket"`
}

// openKeys reads the keys from the data folder, or makes them.
func openKeys(data string) (keys, error) {
	path := filepath.Join(data, "keys.json")
	b, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		k := keys{Callback: rand.Text() + rand.Text(), Image: rand.Text() + rand.Text(), Bucket: rand.Text() + rand.Text()}
		if b, err = json.Marshal(k); err != nil {
			return keys{}, err
		}
		return k, os.WriteFile(path, b, 0o600)
	}
	if err != nil {
		return keys{}, err
	}
	var k keys
	if err := json.Unmarshal(b, &k); err != nil {
		return keys{}, fmt.Errorf("%s is not what this program wrote; delete it to begin anew: %w", path, err)
	}
	return k, nil
}

// fill puts the keys in the settings where the environment has none.
func (k keys) fill(c *config.Settings) {
	if c.CallbackKey == "" {
		c.CallbackKey = config.Hidden(k.Callback)
	}
	if c.ImageKey == "" {
		c.ImageKey = config.Hidden(k.Image)
	}
}
