package dir

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"mime"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/preset/nanobanana-functions/shared/media"
)

// LinkPath is the prefix of the paths of a Bucket's links.
const LinkPath = "/bucket/"

// Link implements media.Linker.
func (b *Bucket) Link(_ context.Context, key string, ttl time.Duration, download string) (string, error) {
	if !validKey(key) {
		return "", fmt.Errorf("dir: link: %q is not a key", key)
	}
	expires := strconv.FormatInt(b.Now().Add(ttl).Unix(), 10)
	query := url.Values{"expires": {expires}, "signature": {b.sign("read", key, expires, download)}}
	if download != "" {
		query.Set("download", download)
	}
	return b.baseURL() + LinkPath + key + "?" + query.Encode(), nil
}

// sign returns the signature of a link for verb. Neither key nor expires can contain
// a line end, so no two links have the same signed text.
func (b *Bucket) sign(verb, key, expires, rest string) string {
	mac := hmac.New(sha256.New, b.key)
	fmt.Fprintf(mac, "%s\n%s\n%s\n%s", verb, key, expires, rest)
	return base64.RawURLEncoding.EncodeToString(mac.Sum(nil))
}

// ServeHTTP serves the links that Link and PutLink return, under LinkPath. It answers
// 403 unless the signature is right and has not expired, and 404 if there is no such
// object to read.
func (b *Bucket) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Access-Control-Allow-Origin", "*")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	key, query := strings.TrimPrefix(r.URL.Path, LinkPath), r.URL.Query()
	switch r.Method {
	case http.MethodGet, http.MethodHead:
		download := query.Get("download")
		if !b.signed("read", key, download, query) {
			http.Error(w, "this link is wrong or has expired", http.StatusForbidden)
			return
		}
		b.serve(w, r, key, download)
	case http.MethodPut:
		b.servePut(w, r, key)
	case http.MethodOptions:
		preflight(w)
	default:
		w.Header().Set("Allow", "GET, HEAD, PUT")
		http.Error(w, "only GET, HEAD and PUT are allowed", http.StatusMethodNotAllowed)
	}
}

func (b *Bucket) signed(verb, key, rest string, query url.Values) bool {
	expires := query.Get("expires")
	want := b.sign(verb, key, expires, rest)
	if !hmac.Equal([]byte(query.Get("signature")), []byte(want)) {
		return false
	}
	end, err := strconv.ParseInt(expires, 10, 64)
	return err == nil && b.Now().Unix() < end && validKey(key)
}

func (b *Bucket) serve(w http.ResponseWriter, r *http.Request, key, download string) {
	file, err := b.root.Open(key)
	if err != nil {
		http.NotFound(w, r)
		return
	}
	defer file.Close()
	info, err := file.Stat()
	if err != nil || !info.Mode().IsRegular() {
		http.NotFound(w, r)
		return
	}
	h := w.Header()
	h.Set("Content-Type", media.ContentType(key))
	h.Set("Cache-Control", media.CacheControl)
	if download != "" {
		h.Set("Content-Disposition", mime.FormatMediaType("attachment", map[string]string{"filename": download}))
	}
	http.ServeContent(w, r, "", info.ModTime(), file)
}
