// Package media takes pictures in and keeps them: it downloads them from
// addresses nobody vouches for (Fetcher), tells their kind (Sniff), names them
// (Key), and defines where they are kept (Bucket), how they are read (Linker)
// and how others bring some (Uploader). That they are pictures package picture proves; Inspect, which
// needs no decoder, tells most of those that are none.
//
// It knows nothing of tasks, of the provider or of AWS.
package media

import (
	"context"
	"errors"
	"io"
	"net/http"
	"time"
)

// ErrDigest means that the bytes given to a Bucket are not those announced.
var ErrDigest = errors.New("media: the bytes do not have the announced size and SHA-256")

// A Bucket keeps pictures under the keys that Key and ThumbnailKey make. Its
// methods may be called at once from several goroutines.
type Bucket interface {
	// Put stores body, read from its very start, under key. Once it has
	// returned nil the object survives a crash; before, nothing is to be
	// seen under key but what was there. Putting the same bytes again is
	// harmless. Bytes that are not size long or hash to another sum are
	// refused with ErrDigest, and leave what was under key as it was.
	Put(ctx context.Context, key string, body io.ReadSeeker, size int64, contentType string, sum [32]byte) error

	// Erase deletes every object whose key begins with prefix, which has
	// to end in a slash. That there is none is no error. Once it has
	// returned nil the objects stay gone after a crash.
	Erase(ctx context.Context, prefix string) error
}

// A Linker makes links to single objects of a Bucket.
type Linker interface {
	// Link returns a URL by which anybody may GET the object under key
	// until ttl has passed. Where download is not empty, browsers save the
	// answer as a file of that name instead of showing it. That the
	// object exists is not checked.
	Link(ctx context.Context, key string, ttl time.Duration, download string) (string, error)
}

// An Uploader makes links by which others put single objects into a Bucket.
type Uploader interface {
	// PutLink returns a URL by which anybody may PUT the object under key
	// until ttl has passed, once, and the header that has to go with it
	// beside Content-Length. Another type than key's, another length than
	// size, and a PUT where there is an object already, by whatever link, are
	// refused and change nothing. What comes is not looked at.
	PutLink(ctx context.Context, key string, size int64, ttl time.Duration) (string, http.Header, error)
}
