package dir

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"net/url"
	"path"
	"strconv"
	"time"

	"github.com/preset/nanobanana-functions/shared/media"
)

// PutLink implements Uploader.
func (d *Bucket) PutLink(_ context.Context, key string, size int64, ttl time.Duration) (string, http.Header, error) {
	if !validKey(key) || size < 1 {
		return "", nil, fmt.Errorf("dir: put link: %q of %d bytes is no object", key, size)
	}
	expires, length := strconv.FormatInt(d.Now().Add(ttl).Unix(), 10), strconv.FormatInt(size, 10)
	query := url.Values{"expires": {expires}, "bytes": {length}, "signature": {d.sign("write", key, expires, length)}}
	return d.baseURL() + LinkPath + key + "?" + query.Encode(), http.Header{
		"Content-Type": {media.ContentType(key)}, "If-None-Match": {"*"},
	}, nil
}

// preflight lets pages of any origin use a link, from which nobody can tell
// where it was made.
func preflight(w http.ResponseWriter) {
	w.Header().Set("Access-Control-Allow-Methods", "GET, HEAD, PUT")
	w.Header().Set("Access-Control-Allow-Headers", "Content-Type, If-None-Match")
	w.Header().Set("Access-Control-Max-Age", "3600")
	w.WriteHeader(http.StatusNoContent)
}

// receive answers a PUT by a link of PutLink: 403 unless the signature is right
// and fresh, and the request the one that was signed; 412 where there is an
// object already, as S3 does.
func (d *Bucket) receive(w http.ResponseWriter, r *http.Request, key string) {
	query := r.URL.Query()
	length := query.Get("bytes")
	size, err := strconv.ParseInt(length, 10, 64)
	asSigned := r.ContentLength == size && r.Header.Get("Content-Type") == media.ContentType(key) && r.Header.Get("If-None-Match") == "*"
	if err != nil || !asSigned || !d.signed("write", key, length, query) {
		http.Error(w, "this link is wrong or has expired, or is for another file", http.StatusForbidden)
		return
	}
	err = d.accept(key, http.MaxBytesReader(w, r.Body, size), size)
	switch {
	case errors.Is(err, fs.ErrExist):
		http.Error(w, "this has been uploaded already", http.StatusPreconditionFailed)
	case errors.Is(err, io.ErrUnexpectedEOF):
		http.Error(w, "the file broke off before its end", http.StatusBadRequest)
	case err != nil:
		http.Error(w, "this could not be stored", http.StatusInternalServerError)
	}
}

// accept stores body under key, where there must be nothing. Of two at once one
// comes second: a file is linked to its name only when it is all there.
func (d *Bucket) accept(key string, body io.Reader, size int64) error {
	if _, err := d.root.Stat(key); err == nil {
		return fs.ErrExist
	}
	whole := func(n int64, _ [32]byte) error {
		if n != size {
			return io.ErrUnexpectedEOF
		}
		return nil
	}
	return d.write(key, body, size, whole, d.root.Link)
}

// Expire deletes what came under prefix, which has to end in a slash, more than
// age ago: what a lifecycle rule does in S3.
func (d *Bucket) Expire(ctx context.Context, prefix string, age time.Duration) error {
	if !dirPattern().MatchString(prefix) {
		return fmt.Errorf("dir: expire: %q is no prefix", prefix)
	}
	end := d.Now().Add(-age)
	err := fs.WalkDir(d.root.FS(), path.Clean(prefix), func(name string, e fs.DirEntry, err error) error {
		if err = errors.Join(err, ctx.Err()); err != nil || e.IsDir() {
			return err
		}
		info, err := e.Info()
		if err == nil && info.ModTime().Before(end) {
			err = d.root.Remove(name)
		}
		return err
	})
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("dir: expire %s: %w", prefix, err)
	}
	return nil
}
