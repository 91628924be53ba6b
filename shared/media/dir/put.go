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

// PutLink implements media.Uploader.
func (b *Bucket) PutLink(_ context.Context, key string, size int64, ttl time.Duration) (string, http.Header, error) {
	if !validKey(key) || size < 1 {
		return "", nil, fmt.Errorf("dir: put link: %q of %d bytes cannot be an object", key, size)
	}
	query := url.Values{"bytes": {strconv.FormatInt(size, 10)}}
	return b.link("write", key, ttl, query), http.Header{"Content-Type": {media.ContentType(key)}, "If-None-Match": {"*"}}, nil
}

// preflight lets pages of any origin use a link: a link does not show which page it
// was made for.
func preflight(w http.ResponseWriter) {
	w.Header().Set("Access-Control-Allow-Methods", "GET, HEAD, PUT")
	w.Header().Set("Access-Control-Allow-Headers", "Content-Type, If-None-Match")
	w.Header().Set("Access-Control-Max-Age", "3600")
	w.WriteHeader(http.StatusNoContent)
}

// servePut serves a PUT with a link of PutLink. It answers 403 unless the signature is
// right and has not expired and the request is the signed one, and 412 if an object
// already exists, as S3 does.
func (b *Bucket) servePut(w http.ResponseWriter, r *http.Request, key string) {
	query := r.URL.Query()
	size, err := strconv.ParseInt(query.Get("bytes"), 10, 64)
	asSigned := r.ContentLength == size && r.Header.Get("Content-Type") == media.ContentType(key) && r.Header.Get("If-None-Match") == "*"
	if err != nil || !asSigned || !b.signed("write", key, query) {
		http.Error(w, "this link is wrong or has expired, or is for another file", http.StatusForbidden)
		return
	}
	err = b.create(key, http.MaxBytesReader(w, r.Body, size), size)
	switch {
	case errors.Is(err, fs.ErrExist):
		http.Error(w, "this file has already been uploaded", http.StatusPreconditionFailed)
	case errors.Is(err, io.ErrUnexpectedEOF):
		http.Error(w, "the file ended too early", http.StatusBadRequest)
	case err != nil:
		http.Error(w, "the file could not be stored", http.StatusInternalServerError)
	}
}

// create stores body under key and returns fs.ErrExist if an object exists there. A
// complete file is linked to its name in one step, so of two concurrent uploads only
// one succeeds.
func (b *Bucket) create(key string, body io.Reader, size int64) error {
	if _, err := b.root.Stat(key); err == nil {
		return fs.ErrExist
	}
	complete := func(n int64, _ [32]byte) error {
		if n != size {
			return io.ErrUnexpectedEOF
		}
		return nil
	}
	return b.write(key, body, size, complete, b.root.Link)
}

// Expire deletes the objects under prefix, which must end in a slash, that are older
// than age. A lifecycle rule does this in S3.
func (b *Bucket) Expire(ctx context.Context, prefix string, age time.Duration) error {
	if !dirPattern().MatchString(prefix) {
		return fmt.Errorf("dir: expire: %q is no prefix", prefix)
	}
	end := b.Now().Add(-age)
	err := fs.WalkDir(b.root.FS(), path.Clean(prefix), func(name string, e fs.DirEntry, err error) error {
		if err = errors.Join(err, ctx.Err()); err != nil || e.IsDir() {
			return err
		}
		info, err := e.Info()
		if err == nil && info.ModTime().Before(end) {
			err = b.root.Remove(name)
		}
		return err
	})
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("dir: expire %s: %w", prefix, err)
	}
	return nil
}
