// Package dir implements media.Bucket in a directory of this machine, for the local
// run and the tests. Its files survive a crash as media.Bucket promises.
package dir

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"regexp"
	"strings"
	"sync"
	"time"

	"github.com/preset/nanobanana-functions/shared/media"
)

// minKey is the length in bytes of the shortest key that may sign links.
const minKey = 24

// A Bucket is a directory of pictures. It also signs links to its files
// (media.Linker, media.Uploader) and serves them (http.Handler).
type Bucket struct {
	// Now is the clock for the expiry of links. Set it before use.
	Now func() time.Time

	root    *os.Root
	baseURL func() string
	key     []byte
	folders *folders
}

// Open opens the Bucket in dir, and creates dir if necessary. Its links begin with
// what baseURL returns when they are made, which must not end in a slash, and are
// signed with key, at least 24 bytes. Only one process at a time may have it open.
// The caller should call Close when finished.
func Open(dir string, baseURL func() string, key []byte) (*Bucket, error) {
	if len(key) < minKey {
		return nil, fmt.Errorf("dir: open bucket: the signing key is shorter than %d bytes", minKey)
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, fmt.Errorf("dir: open bucket: %w", err)
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, fmt.Errorf("dir: open bucket: %w", err)
	}
	if err := errors.Join(root.RemoveAll(tempDir), root.Mkdir(tempDir, 0o755)); err != nil {
		return nil, errors.Join(fmt.Errorf("dir: open bucket: %w", err), root.Close())
	}
	return &Bucket{Now: time.Now, root: root, baseURL: baseURL, key: key, folders: newFolders(root)}, nil
}

// tempDir is the folder of files that are being written. Open deletes what a killed
// process left there. No key begins with it.
const tempDir = ".halves"

// Close releases the directory. The files stay.
func (b *Bucket) Close() error { return b.root.Close() }

var dirPattern = sync.OnceValue(func() *regexp.Regexp {
	return regexp.MustCompile(`^([A-Za-z0-9_-]{1,64}/){1,8}$`)
})

// validKey reports whether key consists of directories and a file whose extension is
// that of a media.Format. The extension has the only dot, so no key leads out of
// the bucket.
func validKey(key string) bool {
	dir, file := path.Split(key)
	stem := strings.TrimSuffix(file, path.Ext(file))
	return dirPattern().MatchString(dir) && dirPattern().MatchString(stem+"/") && media.ContentType(key) != ""
}

// Put implements media.Bucket. The content type must be that of key's extension,
// since it is stored nowhere else.
func (b *Bucket) Put(ctx context.Context, key string, body io.ReadSeeker, size int64, contentType string, sum [32]byte) error {
	if !validKey(key) || media.ContentType(key) != contentType {
		return fmt.Errorf("dir: put: %q is not a key for %q", key, contentType)
	}
	if err := b.put(ctx, key, body, size, sum); err != nil {
		return fmt.Errorf("dir: put %s: %w", key, err)
	}
	return nil
}

func (b *Bucket) put(ctx context.Context, key string, body io.ReadSeeker, size int64, sum [32]byte) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if _, err := body.Seek(0, io.SeekStart); err != nil {
		return err
	}
	announced := func(n int64, of [32]byte) error {
		if n != size || of != sum {
			return media.ErrDigest
		}
		return nil
	}
	return b.write(key, body, size, announced, b.root.Rename)
}

// write stores body, of which it reads at most one byte more than size, under key. It
// writes a temporary file and syncs it to disk, passes its length and hash to
// check, and calls publish to give it its name. It leaves nothing behind if one of
// these steps fails.
func (b *Bucket) write(key string, body io.Reader, size int64, check func(int64, [32]byte) error, publish func(from, to string) error) (err error) {
	temp := path.Join(tempDir, rand.Text())
	defer func() {
		if e := b.root.Remove(temp); !errors.Is(e, fs.ErrNotExist) { // gone if it was renamed
			err = errors.Join(err, e)
		}
	}()
	n, sum, err := b.copyTo(temp, io.LimitReader(body, size+1))
	if err != nil {
		return err
	}
	if err := check(n, sum); err != nil {
		return err
	}
	return b.folders.add(path.Dir(key), func() error { return publish(temp, key) })
}

// copyTo copies body to a new file and syncs it to disk.
func (b *Bucket) copyTo(name string, body io.Reader) (n int64, sum [32]byte, err error) {
	file, err := b.root.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
	if err != nil {
		return 0, sum, err
	}
	hash := sha256.New()
	n, err = io.Copy(io.MultiWriter(file, hash), body)
	if err == nil {
		err = file.Sync()
	}
	return n, [32]byte(hash.Sum(nil)), errors.Join(err, file.Close())
}

// Erase implements media.Bucket.
func (b *Bucket) Erase(ctx context.Context, prefix string) error {
	if !dirPattern().MatchString(prefix) {
		return fmt.Errorf("dir: erase: %q is not a prefix", prefix)
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	if err := b.folders.remove(path.Clean(prefix)); err != nil {
		return fmt.Errorf("dir: erase %s: %w", prefix, err)
	}
	return nil
}
