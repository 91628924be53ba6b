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

// LinkPath is what the paths of a Bucket's links begin with.
const LinkPath = "/bucket/"

// Link implements Linker.
func (d *Bucket) Link(_ context.Context, key string, ttl time.Duration, download string) (string, error) {
	if !validKey(key) {
		return "", fmt.Errorf("dir: link: %q is no key", key)
	}
	expires := strconv.FormatInt(d.Now().Add(ttl).Unix(), 10)
	query := url.Values{"expires": {expires}, "signature": {d.sign("read", key, expires, download)}}
	if download != "" {
		query.Set("download", download)
	}
	return d.baseURL() + LinkPath + key + "?" + query.Encode(), nil
}

// sign is the signature of a link for verb. Neither key nor expires can hold a
// line end, so no two links are signed as the same text.
func (d *Bucket) sign(verb, key, expires, rest string) string {
	mac := hmac.New(sha256.New, d.key)
	fmt.Fprintf(mac, "%s\n%s\n%s\n%s", verb, key, expires, rest)
	return base64.RawURLEncoding.EncodeToString(mac.Sum(nil))
}

// ServeHTTP answers links made by Link and PutLink, under LinkPath: 403 unless
// the signature is right and fresh, 404 where there is no such object to read.
func (d *Bucket) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Access-Control-Allow-Origin", "*")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	key, query := strings.TrimPrefix(r.URL.Path, LinkPath), r.URL.Query()
	switch r.Method {
	case http.MethodGet, http.MethodHead:
		download := query.Get("download")
		if !d.signed("read", key, download, query) {
			http.Error(w, "this link is wrong or has expired", http.StatusForbidden)
			return
		}
		d.serve(w, r, key, download)
	case http.MethodPut:
		d.receive(w, r, key)
	case http.MethodOptions:
		preflight(w)
	default:
		w.Header().Set("Allow", "GET, HEAD, PUT")
		http.Error(w, "to be read or put", http.StatusMethodNotAllowed)
	}
}

func (d *Bucket) signed(verb, key, rest string, query url.Values) bool {
	expires := query.Get("expires")
	want := d.sign(verb, key, expires, rest)
	if !hmac.Equal([]byte(query.Get("signature")), []byte(want)) {
		return false
	}
	end, err := strconv.ParseInt(expires, 10, 64)
	return err == nil && d.Now().Unix() < end && validKey(key)
}

func (d *Bucket) serve(w http.ResponseWriter, r *http.Request, key, download string) {
	file, err := d.root.Open(key)
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
