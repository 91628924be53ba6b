package media

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
)

// minKey is the length in bytes of the shortest key that signs links.
const minKey = 24

// A DirBucket is a Bucket in a directory of this machine, for the local run
// and the tests. It signs links to itself (Linker, Uploader) and answers them
// (http.Handler).
type DirBucket struct {
	// Now is the clock that links expire by; set it before use.
	Now func() time.Time

	root    *os.Root
	baseURL func() string
	key     []byte
}

// OpenDir opens the DirBucket in dir, which it makes if need be. Its links
// begin with what baseURL returns when they are made, without a slash at its
// end, and are signed with key, at least 24 bytes. The caller should call
// Close when finished.
func OpenDir(dir string, baseURL func() string, key []byte) (*DirBucket, error) {
	if len(key) < minKey {
		return nil, fmt.Errorf("media: open bucket: the signing key is shorter than %d bytes", minKey)
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, fmt.Errorf("media: open bucket: %w", err)
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, fmt.Errorf("media: open bucket: %w", err)
	}
	return &DirBucket{Now: time.Now, root: root, baseURL: baseURL, key: key}, nil
}

// Close releases the directory, whose files stay.
func (d *DirBucket) Close() error { return d.root.Close() }

var dirPattern = sync.OnceValue(func() *regexp.Regexp {
	return regexp.MustCompile(`^([A-Za-z0-9_-]{1,64}/){1,8}$`)
})

// validKey says whether key is directories and a file whose extension tells
// its type. There are no dots but the extension's, so nothing climbs out.
func validKey(key string) bool {
	dir, file := path.Split(key)
	stem := strings.TrimSuffix(file, path.Ext(file))
	return dirPattern().MatchString(dir) && dirPattern().MatchString(stem+"/") && ContentType(key) != ""
}

// Put implements Bucket. The content type has to be that of key's extension,
// since it is kept nowhere else.
func (d *DirBucket) Put(ctx context.Context, key string, body io.ReadSeeker, size int64, contentType string, sum [32]byte) error {
	if !validKey(key) || ContentType(key) != contentType {
		return fmt.Errorf("media: put: %q is no key for %q", key, contentType)
	}
	if err := d.put(ctx, key, body, size, sum); err != nil {
		return fmt.Errorf("media: put %s: %w", key, err)
	}
	return nil
}

// folder opens a folder of the bucket, which is made if there is none. The caller
// closes it.
func (d *DirBucket) folder(dir string) (*os.Root, error) {
	if err := d.root.MkdirAll(dir, 0o755); err != nil {
		return nil, err
	}
	return d.root.OpenRoot(dir)
}

func (d *DirBucket) put(ctx context.Context, key string, body io.ReadSeeker, size int64, sum [32]byte) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	dir := path.Dir(key)
	folder, err := d.folder(dir)
	if err != nil {
		return err
	}
	defer folder.Close()
	temp := "." + rand.Text()
	if err := write(folder, temp, body, size, sum); err != nil {
		return errors.Join(err, folder.Remove(temp))
	}
	if err := folder.Rename(temp, path.Base(key)); err != nil {
		return errors.Join(err, folder.Remove(temp))
	}
	return d.settle(dir)
}

// write makes the file name in folder out of body, safe on disk when it returns nil.
func write(folder *os.Root, name string, body io.ReadSeeker, size int64, sum [32]byte) error {
	if _, err := body.Seek(0, io.SeekStart); err != nil {
		return err
	}
	file, err := folder.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
	if err != nil {
		return err
	}
	defer file.Close()
	hash := sha256.New()
	n, err := io.Copy(io.MultiWriter(file, hash), io.LimitReader(body, size+1))
	if err != nil {
		return err
	}
	if n != size || [32]byte(hash.Sum(nil)) != sum {
		return ErrDigest
	}
	if err := file.Sync(); err != nil {
		return err
	}
	return file.Close()
}

// settle makes the names in dir safe on disk, and its own name, and so on up
// to the bucket's root: a folder made just now, by us or by a Put beside us,
// is otherwise gone after a crash with all that is in it.
func (d *DirBucket) settle(dir string) error {
	for {
		if err := d.sync(dir); err != nil || dir == "." {
			return err
		}
		dir = path.Dir(dir)
	}
}

func (d *DirBucket) sync(dir string) error {
	f, err := d.root.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}

// Erase implements Bucket.
func (d *DirBucket) Erase(ctx context.Context, prefix string) error {
	if !dirPattern().MatchString(prefix) {
		return fmt.Errorf("media: erase: %q is no prefix", prefix)
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	dir := path.Clean(prefix)
	err := d.root.RemoveAll(dir)
	if err == nil { // for good: what was erased must not be back after a crash
		err = d.sync(path.Dir(dir))
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("media: erase %s: %w", prefix, err)
	}
	return nil
}
