package dir

import (
	"cmp"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"maps"
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
func (b *Bucket) Link(_ context.Context, key string, ttl time.Duration, o media.LinkOptions) (string, error) {
	if !validKey(key) {
		return "", fmt.Errorf("dir: link: %q is not a key", key)
	}
	query := url.Values{}
	if o.Download != "" {
		query.Set("download", o.Download)
	}
	if o.ContentType != "" {
		query.Set("type", o.ContentType)
	}
	return b.link("read", key, ttl, query), nil
}

// link returns a link for verb that expires after ttl. Its signature covers the query.
func (b *Bucket) link(verb, key string, ttl time.Duration, query url.Values) string {
	query.Set("expires", strconv.FormatInt(b.Now().Add(ttl).Unix(), 10))
	query.Set("signature", b.sign(verb, key, query))
	return b.baseURL() + LinkPath + key + "?" + query.Encode()
}

// sign returns the signature of a link for verb. Neither a key nor an encoded query can
// contain a line end, so no two links have the same signed text.
func (b *Bucket) sign(verb, key string, query url.Values) string {
	mac := hmac.New(sha256.New, b.key)
	fmt.Fprintf(mac, "%s\n%s\n%s", verb, key, query.Encode())
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
		if !b.signed("read", key, query) {
			http.Error(w, "this link is wrong or has expired", http.StatusForbidden)
			return
		}
		b.serve(w, r, key, media.LinkOptions{Download: query.Get("download"), ContentType: query.Get("type")})
	case http.MethodPut:
		b.servePut(w, r, key)
	case http.MethodOptions:
		preflight(w)
	default:
		w.Header().Set("Allow", "GET, HEAD, PUT")
		http.Error(w, "only GET, HEAD and PUT are allowed", http.StatusMethodNotAllowed)
	}
}

// signed reports whether a link for verb is one of ours and has not expired.
func (b *Bucket) signed(verb, key string, query url.Values) bool {
	rest := maps.Clone(query)
	rest.Del("signature")
	if !hmac.Equal([]byte(query.Get("signature")), []byte(b.sign(verb, key, rest))) {
		return false
	}
	end, err := strconv.ParseInt(query.Get("expires"), 10, 64)
	return err == nil && b.Now().Unix() < end && validKey(key)
}

func (b *Bucket) serve(w http.ResponseWriter, r *http.Request, key string, o media.LinkOptions) {
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
	h.Set("Content-Type", cmp.Or(o.ContentType, media.ContentType(key)))
	h.Set("Cache-Control", media.CacheControl)
	if o.Download != "" {
		h.Set("Content-Disposition", mime.FormatMediaType("attachment", map[string]string{"filename": o.Download}))
	}
	http.ServeContent(w, r, "", info.ModTime(), file)
}
