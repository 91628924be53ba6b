package serve

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"path/filepath"

	"github.com/preset/nanobanana-functions/local/ops"
	"github.com/preset/nanobanana-functions/local/signin"
	"github.com/preset/nanobanana-functions/shared/config"
	"github.com/preset/nanobanana-functions/shared/lifecycle"
	"github.com/preset/nanobanana-functions/shared/outbound"
	"github.com/preset/nanobanana-functions/shared/task"
	"github.com/preset/nanobanana-functions/shared/taskbolt"
)

// OpenStopped returns what bin/ops acts on in the data folder of a local run that is
// stopped. To read, it opens the file of tasks without checking all of it. The caller
// calls close.
func OpenStopped(data string, getenv func(string) string, warnings io.Writer, write bool) (_ *ops.Env, closeRun func() error, err error) {
	store, err := openTasks(filepath.Join(data, tasksFile), write)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, nil, fmt.Errorf("no local run has kept tasks in %s: -data names the folder of one, such as %s", data, DefaultData)
	case errors.Is(err, taskbolt.ErrInUse):
		return nil, nil, fmt.Errorf("a local run is using %s: reach it with -addr instead of -data, or stop it", data)
	case err != nil:
		return nil, nil, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, store.Close())
		}
	}()
	c, kept, err := settings(Options{Data: data, Getenv: getenv}, signin.Origin(DefaultAddr, ""))
	if err != nil {
		return nil, nil, err
	}
	log := slog.New(slog.NewTextHandler(warnings, &slog.HandlerOptions{Level: slog.LevelWarn}))
	e := opsEnv(c, kept, store, config.NewSecrets(kept.value, outbound.WallClock, log), log)
	e.Stopped = true
	e.Name, e.Suffix, e.Logs = "local run in "+data, " -data "+ops.Quote(data), logFiles(data)
	return e, store.Close, nil
}

// openTasks opens the file of tasks. Look does not complete a file of an older release.
func openTasks(path string, write bool) (*taskbolt.Store, error) {
	store, err := taskbolt.Look(path)
	switch {
	case errors.Is(err, taskbolt.ErrIncomplete):
		return taskbolt.Open(path)
	case err == nil && write:
		if err := store.Close(); err != nil {
			return nil, err
		}
		return taskbolt.Open(path)
	}
	return store, err
}

// opsEnv returns what bin/ops acts on in a local run, without the run's name.
func opsEnv(c config.Settings, kept *Secret, store task.Store, secrets *config.Secrets, log *slog.Logger) *ops.Env {
	return &ops.Env{
		Store: store, Settings: c, Secrets: secrets, Secret: kept,
		Service: lifecycle.New(c, store, secrets, outbound.NewClient(), log), Now: outbound.WallClock,
	}
}

// opsHere returns what bin/ops acts on in this process.
func (s *Server) opsHere(secrets *config.Secrets, service *lifecycle.Service, log *slog.Logger) *ops.Env {
	e := opsEnv(s.settings, s.secret, s.store, secrets, log)
	e.Service = service
	e.Name, e.Logs = "local run at "+s.URL, s.log.paths
	e.Suffix = commandFlags(s.URL, DefaultData)
	return e
}
