package serve

import (
	"errors"
	"os"
	"path/filepath"
	"sync"

	"github.com/preset/nanobanana-functions/local/ops"
)

// maxLogFile is the size at which a new file of the log begins. The one before is kept,
// so the log has at most twice as much.
const maxLogFile = 10 << 20

// logFiles returns where the data folder keeps the log. bin/ops reads it.
func logFiles(data string) ops.FileLogs {
	return ops.FileLogs{Older: filepath.Join(data, "log-older.jsonl"), Current: filepath.Join(data, "log.jsonl")}
}

// logFile is the log in the data folder. It is an io.Writer of whole lines, safe for
// concurrent use. A line that cannot be written is lost here; standard error has it.
type logFile struct {
	paths ops.FileLogs
	max   int64

	mu   sync.Mutex // guards what follows
	file *os.File
	size int64
}

func openLog(paths ops.FileLogs) (*logFile, error) {
	l := &logFile{paths: paths, max: maxLogFile}
	return l, l.open()
}

// open opens the current file. A line that a crash cut off ends there.
func (l *logFile) open() error {
	f, err := os.OpenFile(l.paths.Current, os.O_RDWR|os.O_CREATE|os.O_APPEND, 0o600)
	if err != nil {
		return err
	}
	info, err := f.Stat()
	if err != nil {
		return errors.Join(err, f.Close())
	}
	l.file, l.size = f, info.Size()
	last := make([]byte, 1)
	if l.size > 0 {
		if _, err := f.ReadAt(last, l.size-1); err == nil && last[0] != '\n' {
			n, _ := f.Write([]byte("\n"))
			l.size += int64(n)
		}
	}
	return nil
}

// Write adds a line. It begins a new file first if the current one would get too long.
func (l *logFile) Write(line []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.file != nil && l.size > 0 && l.size+int64(len(line)) > l.max {
		_ = l.file.Close() // each line was written by itself
		l.file = nil
		if err := os.Rename(l.paths.Current, l.paths.Older); err != nil {
			return 0, err
		}
	}
	if l.file == nil {
		if err := l.open(); err != nil {
			return 0, err
		}
	}
	n, err := l.file.Write(line)
	l.size += int64(n)
	return n, err
}

// Close closes the file. Later lines open it again, and so do not get lost.
func (l *logFile) Close() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.file == nil {
		return nil
	}
	f := l.file
	l.file = nil
	return f.Close()
}
