package media

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/base32"
	"fmt"
	"path"
	"regexp"
	"strings"
	"sync"
)

// CacheControl goes with every picture: other bytes have another key.
const CacheControl = "private, max-age=31536000, immutable"

// Prefix is what the keys of all pictures of one task begin with, and of no
// other task: what Bucket.Erase is given.
func Prefix(taskID string) string { return "tasks/" + taskID + "/" }

// Key is the key of picture n, from 1, of a task. The same bytes have the
// same key, so that a second Put is harmless; other bytes have another.
func Key(taskID string, n int, sum [32]byte, ext string) string {
	return fmt.Sprintf("%s%d-%x.%s", Prefix(taskID), n, sum[:8], ext)
}

// ThumbnailKey is the key of the thumbnail of the picture whose Key is made
// from the same arguments.
func ThumbnailKey(taskID string, n int, sum [32]byte) string {
	return fmt.Sprintf("%s%d-%x-%d.jpg", Prefix(taskID), n, sum[:8], ThumbnailSide)
}

// File is the last element of a key: what a public link calls the picture.
func File(key string) string { return path.Base(key) }

// filePattern is compiled when it is first used: most functions do without.
var filePattern = sync.OnceValue(func() *regexp.Regexp {
	return regexp.MustCompile(`^[1-9][0-9]?-[0-9a-f]{16}(\.(png|jpg|webp)|-512\.jpg)$`)
})

// KeyOfFile is the key of the picture or thumbnail of a task that a public
// link calls file. It returns false for a file that neither Key nor
// ThumbnailKey can have named. taskID is taken as it is.
func KeyOfFile(taskID, file string) (string, bool) {
	if !filePattern().MatchString(file) {
		return "", false
	}
	return Prefix(taskID) + file, true
}

// ContentType is the content type of the object under key, told from its
// extension; empty for one that no picture here has.
func ContentType(key string) string {
	ext := strings.TrimPrefix(path.Ext(key), ".")
	for _, f := range formats {
		if f.Ext == ext {
			return f.ContentType
		}
	}
	return ""
}

// MaxUploadBytes is the longest picture that people may upload.
const MaxUploadBytes = 10 << 20

// UploadPrefix is what the keys of all uploads begin with. Objects under it go
// by age, whatever became of them.
const UploadPrefix = "uploads/"

// uploadID is base32hex in lower case, as the ids of tasks are.
var uploadID = base32.NewEncoding(uploadAlphabet).WithPadding(base32.NoPadding)

const (
	uploadAlphabet = "0123456789abcdefghijklmnopqrstuv"
	uploadIDLength = 26
)

// NewUpload names a picture that owner is going to upload: by an id of 26
// characters of [0-9a-v], and by the key that UploadKey makes of it. It returns
// false for a content type that no picture here has.
func NewUpload(owner, contentType string) (id, key string, ok bool) {
	for _, f := range formats {
		if f.ContentType == contentType {
			var b [16]byte
			rand.Read(b[:]) // never fails: crypto/rand ends the program instead
			id = uploadID.EncodeToString(b[:])[:uploadIDLength-1] + f.letter
			key, ok = UploadKey(owner, id)
		}
	}
	return id, key, ok
}

// UploadKey is the key of owner's upload of this id, whose last letter tells
// its type. Nothing has to be looked up: by another owner's id one reaches
// another key, under which nothing is. It returns false for what NewUpload
// cannot have given as an id.
func UploadKey(owner, id string) (string, bool) {
	if len(id) != uploadIDLength || strings.Trim(id, uploadAlphabet) != "" {
		return "", false
	}
	for _, f := range formats {
		if strings.HasSuffix(id, f.letter) {
			sum := sha256.Sum256(fmt.Appendf(nil, "upload|%d|%s", len(owner), owner))
			return fmt.Sprintf("%s%x/%s.%s", UploadPrefix, sum[:16], id, f.Ext), true
		}
	}
	return "", false
}
