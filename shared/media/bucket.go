// Package media takes pictures in and stores them: it downloads them from
// untrusted addresses (Fetcher), finds out their format (Sniff), names them (Key),
// and defines where they are stored (Bucket), how they are read (Linker) and how
// users upload them (Uploader). Inspect refuses most files that are no pictures,
// without a decoder; package picture proves that the rest are. media knows nothing
// of tasks, the provider or AWS.
package media

import (
	"context"
	"errors"
	"io"
	"net/http"
	"time"
)

// ErrDigest means that the bytes passed to a Bucket are not the announced ones.
var ErrDigest = errors.New("media: the bytes do not have the announced size and SHA-256")

// A Bucket stores pictures under the keys that Key, ThumbnailKey and InputKeys return.
// Its methods are safe for concurrent use.
type Bucket interface {
	// Put stores body, read from its start, under key. Once Put has returned
	// nil, the object survives a crash; until then, readers of key see what
	// was there before. Putting the same bytes again is harmless. Put returns
	// ErrDigest if body does not have this size and SHA-256, and then leaves
	// the object under key unchanged.
	Put(ctx context.Context, key string, body io.ReadSeeker, size int64, contentType string, sum [32]byte) error

	// Erase deletes every object whose key begins with prefix, which must
	// end in a slash, with all its versions if the bucket keeps them. It is
	// no error if there are none. Once Erase has returned nil, the objects
	// stay deleted after a crash.
	Erase(ctx context.Context, prefix string) error
}

// A Linker makes links to single objects of a Bucket.
type Linker interface {
	// Link returns a URL with which anybody may GET the object under key
	// until ttl has passed. Link does not check that the object exists.
	Link(ctx context.Context, key string, ttl time.Duration, o LinkOptions) (string, error)
}

// LinkOptions change how a link's object is served.
type LinkOptions struct {
	// Download is the name of the file as which browsers save the picture
	// instead of showing it. Empty: they show it.
	Download string
	// ContentType is the type that the response has. Empty: that of the key.
	ContentType string
}

// An Uploader makes links with which others put single objects into a Bucket.
type Uploader interface {
	// PutLink returns a URL with which anybody may PUT the object under key
	// once, until ttl has passed, and the headers that the PUT needs besides
	// Content-Length. A PUT with another type than key's, with another length
	// than size, or where an object already exists, whichever link created
	// it, is refused and changes nothing. The content is not checked.
	PutLink(ctx context.Context, key string, size int64, ttl time.Duration) (string, http.Header, error)
}
