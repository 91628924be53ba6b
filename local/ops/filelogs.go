package ops

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"iter"
	"os"
	"time"
)

// FileLogs are the log lines that a local run keeps, in an older file and the current
// one. Both may be missing.
type FileLogs struct{ Older, Current string }

// maxLine is the longest line that is read; longer ones are left out.
const maxLine = 1 << 20

// open opens the files that there are, the older one first. While they are opened the
// run may begin a new file: then both names led to one, which is read once.
func (x FileLogs) open() (files []*os.File, err error) {
	for _, path := range []string{x.Current, x.Older} {
		f, err := os.Open(path)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			closeAll(files)
			return nil, fmt.Errorf("the log cannot be read: %w", err)
		}
		files = append([]*os.File{f}, files...)
	}
	if len(files) == 2 {
		a, errA := files[0].Stat()
		b, errB := files[1].Stat()
		if errA == nil && errB == nil && os.SameFile(a, b) {
			closeAll(files[1:])
			files = files[:1]
		}
	}
	return files, nil
}

func closeAll(files []*os.File) {
	for _, f := range files {
		_ = f.Close() // was only read
	}
}

// raw yields the lines of the files, the older file's first. An error ends them.
func (x FileLogs) raw() iter.Seq2[[]byte, error] {
	return func(yield func([]byte, error) bool) {
		files, err := x.open()
		if err != nil {
			yield(nil, err)
			return
		}
		defer closeAll(files)
		for _, f := range files {
			for line, err := range lines(f) {
				if err != nil {
					err = fmt.Errorf("the log cannot be read: %w", err)
				}
				if !yield(line, err) || err != nil {
					return
				}
			}
		}
	}
}

// Lines implements Logs.
func (x FileLogs) Lines(ctx context.Context, q LogQuery) iter.Seq2[LogLine, error] {
	return func(yield func(LogLine, error) bool) {
		for raw, err := range x.raw() {
			if err == nil {
				err = ctx.Err()
			}
			if err != nil {
				yield(LogLine{}, err)
				return
			}
			if !q.mayMatch(raw) {
				continue
			}
			if l, ok := parseLine(raw); ok && q.matches(l) && !yield(l, nil) {
				return
			}
		}
	}
}

// Begin implements Logs.
func (x FileLogs) Begin(context.Context) (time.Time, error) {
	for raw, err := range x.raw() {
		if err != nil {
			return time.Time{}, err
		}
		if l, ok := parseLine(raw); ok && !l.Time.IsZero() {
			return l.Time, nil
		}
	}
	return time.Time{}, nil
}

// mayMatch is a quick look at a line before it is parsed: it has the words of q.
func (q LogQuery) mayMatch(raw []byte) bool {
	if q.Task != "" && !bytes.Contains(raw, []byte(q.Task)) {
		return false
	}
	for _, e := range q.Events {
		if bytes.Contains(raw, []byte(e)) {
			return true
		}
	}
	return len(q.Events) == 0
}

// lines returns the lines of r, each valid until the next.
func lines(r io.Reader) iter.Seq2[[]byte, error] {
	return func(yield func([]byte, error) bool) {
		in := bufio.NewReaderSize(r, maxLine)
		for tooLong := false; ; {
			line, err := in.ReadSlice('\n')
			switch {
			case errors.Is(err, bufio.ErrBufferFull):
				tooLong = true
				continue
			case err != nil && !errors.Is(err, io.EOF):
				yield(nil, err)
				return
			}
			if !tooLong && len(line) > 0 && !yield(line, nil) {
				return
			}
			if tooLong = false; err != nil {
				return
			}
		}
	}
}
