// Package dir is a media.Bucket in a directory of this machine, for the local run and
// the tests.
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

// minKey is the length in bytes of the shortest key that signs links.
const minKey = 24

// A Bucket is a Bucket in a directory of this machine, for the local run
// and the tests. It signs links to itself (Linker, Uploader) and answers them
// (http.Handler).
type Bucket struct {
	// Now is the clock that links expire by; set it before use.
	Now func() time.Time

	root    *os.Root
	baseURL func() string
	key     []byte
}

// Open opens the Bucket in dir, which it makes if need be. Its links
// begin with what baseURL returns when they are made, without a slash at its
// end, and are signed with key, at least 24 bytes. One process at a time may
// have it open. The caller should call Close when finished.
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
	if err := errors.Join(root.RemoveAll(halves), root.Mkdir(halves, 0o755)); err != nil {
		return nil, errors.Join(fmt.Errorf("dir: open bucket: %w", err), root.Close())
	}
	return &Bucket{Now: time.Now, root: root, baseURL: baseURL, key: key}, nil
}

// halves is the folder of files that are being written. What a killed process
// left there goes when the bucket is opened. No key begins with it.
const halves = ".halves"

// Close releases the directory, whose files stay.
func (d *Bucket) Close() error { return d.root.Close() }

var dirPattern = sync.OnceValue(func() *regexp.Regexp {
	return regexp.MustCompile(`^([A-Za-z0-9_-]{1,64}/){1,8}$`)
})

// validKey says whether key is directories and a file whose extension tells
// its type. There are no dots but the extension's, so nothing climbs out.
func validKey(key string) bool {
	dir, file := path.Split(key)
	stem := strings.TrimSuffix(file, path.Ext(file))
	return dirPattern().MatchString(dir) && dirPattern().MatchString(stem+"/") && media.ContentType(key) != ""
}

// Put implements Bucket. The content type has to be that of key's extension,
// since it is kept nowhere else.
func (d *Bucket) Put(ctx context.Context, key string, body io.ReadSeeker, size int64, contentType string, sum [32]byte) error {
	if !validKey(key) || media.ContentType(key) != contentType {
		return fmt.Errorf("dir: put: %q is no key for %q", key, contentType)
	}
	if err := d.put(ctx, key, body, size, sum); err != nil {
		return fmt.Errorf("dir: put %s: %w", key, err)
	}
	return nil
}

func (d *Bucket) put(ctx context.Context, key string, body io.ReadSeeker, size int64, sum [32]byte) error {
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
	return d.write(key, body, size, announced, d.root.Rename)
}

// write makes the object key out of body, of which it reads at most a byte
// more than size. The file is written elsewhere, and safe on disk, before check
// sees how many bytes it has, and their hash, and place gives it its name.
// Nothing is left behind if one of them fails.
func (d *Bucket) write(key string, body io.Reader, size int64, check func(int64, [32]byte) error, place func(from, to string) error) (err error) {
	temp := path.Join(halves, rand.Text())
	defer func() {
		if e := d.root.Remove(temp); !errors.Is(e, fs.ErrNotExist) { // it has been renamed
			err = errors.Join(err, e)
		}
	}()
	n, sum, err := d.copyTo(temp, io.LimitReader(body, size+1))
	if err != nil {
		return err
	}
	if err := check(n, sum); err != nil {
		return err
	}
	dir := path.Dir(key)
	if err := d.root.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	if err := place(temp, key); err != nil {
		return err
	}
	return d.settle(dir)
}

// copyTo makes the file name out of body, safe on disk when it returns nil.
func (d *Bucket) copyTo(name string, body io.Reader) (n int64, sum [32]byte, err error) {
	file, err := d.root.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
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

// settle makes the names in dir safe on disk, and its own name, and so on up
// to the bucket's root: a folder made just now, by us or by a Put beside us,
// is otherwise gone after a crash with all that is in it.
func (d *Bucket) settle(dir string) error {
	for {
		if err := d.sync(dir); err != nil || dir == "." {
			return err
		}
		dir = path.Dir(dir)
	}
}

func (d *Bucket) sync(dir string) error {
	f, err := d.root.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}

// Erase implements Bucket.
func (d *Bucket) Erase(ctx context.Context, prefix string) error {
	if !dirPattern().MatchString(prefix) {
		return fmt.Errorf("dir: erase: %q is no prefix", prefix)
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
		return fmt.Errorf("dir: erase %s: %w", prefix, err)
	}
	return nil
}
