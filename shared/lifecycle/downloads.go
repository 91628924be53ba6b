package lifecycle

import (
	"fmt"
	"os"
)

// DownloadTo makes dir the folder for downloads, and empties it of what a killed
// process left there. No other process may use it.
func (g *Ingester) DownloadTo(dir string) error {
	if err := os.RemoveAll(dir); err != nil {
		return fmt.Errorf("empty the folder for downloads: %w", err)
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return fmt.Errorf("make the folder for downloads: %w", err)
	}
	g.Dir = dir
	return nil
}
