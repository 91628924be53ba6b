package media

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/base32"
	"encoding/binary"
	"fmt"
	"path"
	"regexp"
	"strings"
	"sync"
	"time"
)

// CacheControl is the header of every picture: other bytes have another key.
const CacheControl = "private, max-age=31536000, immutable"

// Prefix returns the prefix of the keys of all pictures of a task, and of no other
// task, for Bucket.Erase.
func Prefix(taskID string) string { return "tasks/" + taskID + "/" }

// Key returns the key of picture n, from 1, of a task. The same bytes have the same
// key, so that a second Put is harmless; other bytes have another.
func Key(taskID string, n int, sum [32]byte, ext string) string {
	return fmt.Sprintf("%s%d-%x.%s", Prefix(taskID), n, sum[:8], ext)
}

// ThumbnailKey returns the key of the thumbnail of the picture whose Key has the same
// arguments.
func ThumbnailKey(taskID string, n int, sum [32]byte) string {
	return fmt.Sprintf("%s%d-%x-%d.jpg", Prefix(taskID), n, sum[:8], ThumbnailSide)
}

// InputKeys returns the keys of the copy that a task keeps of its input n, from 1, and of
// that copy's thumbnail. sum is the copy's SHA-256.
func InputKeys(taskID string, n int, sum [32]byte) (key, thumbnail string) {
	stem := fmt.Sprintf("%s%d-%x-input", Prefix(taskID), n, sum[:8])
	return stem + ".jpg", fmt.Sprintf("%s-%d.jpg", stem, ThumbnailSide)
}

// File returns the last element of a key, which is the file name in a public link.
func File(key string) string { return path.Base(key) }

// filePattern is compiled on first use, since most functions do not need it.
var filePattern = sync.OnceValue(func() *regexp.Regexp {
	return regexp.MustCompile(`^[1-9][0-9]?-[0-9a-f]{16}(\.(png|jpg|webp)|(-input)?-512\.jpg|-input\.jpg)$`)
})

// KeyOfFile returns the key of the task's picture, input or thumbnail with this file name
// in public links, or false if none of Key, ThumbnailKey and InputKeys can have made the
// name. It does not check taskID.
func KeyOfFile(taskID, file string) (string, bool) {
	if !filePattern().MatchString(file) {
		return "", false
	}
	return Prefix(taskID) + file, true
}

// ContentType returns the content type of the object under key, from the key's
// extension, or "" for an extension of no Format.
func ContentType(key string) string {
	ext := strings.TrimPrefix(path.Ext(key), ".")
	for _, f := range formats {
		if f.Ext == ext {
			return f.ContentType
		}
	}
	return ""
}

// MaxUploadBytes is the size of the largest picture that users may upload.
const MaxUploadBytes = 10 << 20

// UploadPrefix is the prefix of the keys of all uploads. Objects under it are deleted
// by age, used or not.
const UploadPrefix = "uploads/"

// uploadID is base32hex in lower case, like the ids of tasks.
var uploadID = base32.NewEncoding(uploadAlphabet).WithPadding(base32.NoPadding)

const (
	uploadAlphabet = "0123456789abcdefghijklmnopqrstuv"
	uploadIDLength = 26
	uploadAge      = 8 // characters of an id: the seconds from 1970 to when it was made
)

// UploadTTL is how long users may rely on an upload. The bucket deletes it later.
const UploadTTL = 24 * time.Hour

// NewUpload returns the id of a picture that owner will upload, 26 characters of
// [0-9a-v], and its UploadKey, or false for a content type of no Format.
func NewUpload(owner, contentType string, now time.Time) (id, key string, ok bool) {
	for _, f := range formats {
		if f.ContentType == contentType {
			var b [16]byte
			binary.BigEndian.PutUint64(b[:], uint64(now.Unix())<<24) // the lowest 40 bits come first
			rand.Read(b[5:])                                         // never fails: crypto/rand crashes the program instead
			id = uploadID.EncodeToString(b[:])[:uploadIDLength-1] + f.letter
			key, ok = UploadKey(owner, id)
		}
	}
	return id, key, ok
}

// UploadExpired reports whether the upload with this id was announced so long ago that
// it may have been deleted.
func UploadExpired(id string, now time.Time) bool {
	var b [5]byte
	if n, err := uploadID.Decode(b[:], []byte(id[:min(len(id), uploadAge)])); err != nil || n < len(b) {
		return false
	}
	announced := int64(binary.BigEndian.Uint64(append(make([]byte, 3, 8), b[:]...)))
	return now.Sub(time.Unix(announced, 0)) > UploadTTL
}

// UploadKey returns the key of owner's upload with this id, whose last letter stands
// for its format. No lookup is needed to keep owners apart: the id of another
// owner's upload leads to a key without an object. UploadKey returns false for an
// id that NewUpload cannot have returned.
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
