package media

import (
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
