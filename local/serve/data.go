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

// What is kept in the data folder, besides keys.
const (
	tasksFile       = "tasks.db"
	picturesFolder  = "pictures"
	downloadsFolder = "downloads" // pictures on their way; empty after a start
)

const lostTasks = "there are pictures of tasks, but " + tasksFile + " was empty or missing: nobody can see these pictures until its copy is back"

// picturesWithoutTasks reports whether the tasks of stored pictures are gone.
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

// open opens what is kept in the data folder.
func (s *Server) open(data string, log *slog.Logger) (err error) {
	k, err := openKeys(data)
	if err != nil {
		return err
	}
	if s.store, err = taskbolt.Open(filepath.Join(data, tasksFile)); err != nil {
		return err
	}
	s.store.Log = log
	if s.lost, err = s.picturesWithoutTasks(data); err != nil {
		return err
	}
	if s.lost {
		log.Warn(lostTasks, "data", data)
	}
	s.bucket, err = dir.Open(filepath.Join(data, picturesFolder), func() string { return s.URL }, []byte(k.Bucket))
	if err != nil {
		return err
	}
	s.ingester = lifecycle.NewIngester(s.settings, s.store, s.bucket, picture.Open, log)
	if err := s.ingester.DownloadTo(filepath.Join(data, downloadsFolder)); err != nil {
		return err
	}
	s.studio, err = openStudio(s, data)
	return err
}
