package serve

import (
	"errors"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"

	"github.com/preset/nanobanana-functions/shared/lifecycle"
	"github.com/preset/nanobanana-functions/shared/media/dir"
	"github.com/preset/nanobanana-functions/shared/media/picture"
	"github.com/preset/nanobanana-functions/shared/taskbolt"
)

// What the data folder holds besides keys.
const (
	tasksFile       = "tasks.db"
	picturesFolder  = "pictures"
	downloadsFolder = "downloads" // unfinished downloads; emptied at start
)

const orphansText = "pictures are stored, but " + tasksFile + " with their tasks is empty or missing. Restore it from a copy to see these pictures again"

// picturesWithoutTasks reports whether pictures are stored although no task is.
func (s *Server) picturesWithoutTasks(data string) (bool, error) {
	empty, err := s.store.Empty()
	if err != nil || !empty {
		return false, err
	}
	folder, err := os.Open(filepath.Join(data, picturesFolder, "tasks"))
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	defer folder.Close()
	names, err := folder.Readdirnames(1)
	if errors.Is(err, io.EOF) {
		err = nil
	}
	return len(names) > 0, err
}

// open opens what the data folder holds.
func (s *Server) open(data string, log *slog.Logger) (err error) {
	k, err := openKeys(data)
	if err != nil {
		return err
	}
	if s.store, err = taskbolt.Open(filepath.Join(data, tasksFile)); err != nil {
		return err
	}
	s.store.Log = log
	if s.orphans, err = s.picturesWithoutTasks(data); err != nil {
		return err
	}
	if s.orphans {
		log.Warn(orphansText, "data", data)
	}
	s.bucket, err = dir.Open(filepath.Join(data, picturesFolder), func() string { return s.URL }, []byte(k.Bucket))
	if err != nil {
		return err
	}
	t := newTurns()
	s.ingester = lifecycle.NewIngester(s.settings, s.store, s.bucket, s.bucket, inTurns(t, picture.Open), inTurns(t, picture.Copy), log)
	if err := s.ingester.DownloadTo(filepath.Join(data, downloadsFolder)); err != nil {
		return err
	}
	s.studio, err = openStudio(s.settings, s.URL, data)
	return errors.Join(err, syncNames(data))
}

// syncNames makes the names of the data folder and of what open has made in it survive
// a loss of power. A parent that may not be read was not made by this program.
func syncNames(data string) error {
	for _, name := range []string{data, filepath.Dir(data)} {
		folder, err := os.Open(name)
		if errors.Is(err, fs.ErrPermission) {
			continue
		}
		if err != nil {
			return err
		}
		if err := errors.Join(folder.Sync(), folder.Close()); err != nil {
			return err
		}
	}
	return nil
}
