package prooftest

import (
	"bytes"
	"context"
	"crypto/sha256"
	"fmt"
	"image"
	"image/png"
	"io"
	"maps"
	"net/http"
	"slices"
	"strings"

	"github.com/preset/nanobanana-functions/shared/media"
)

func digest(b []byte) [32]byte { return sha256.Sum256(b) }

// bucket holds the SHA-256 of each object in hex. Guarded by simulation.mu.
type bucket struct{ objects map[string]string }

// under returns the keys with a prefix.
func (b *bucket) under(prefix string) []string {
	keys := slices.Sorted(maps.Keys(b.objects))
	return slices.DeleteFunc(keys, func(key string) bool { return !strings.HasPrefix(key, prefix) })
}

// processBucket is the bucket as one process reaches it.
type processBucket struct{ p *process }

func (s processBucket) Put(ctx context.Context, key string, body io.ReadSeeker, size int64, _ string, sum [32]byte) error {
	if _, err := body.Seek(0, io.SeekStart); err != nil {
		return err
	}
	b, err := io.ReadAll(body)
	if err != nil {
		return err
	}
	if int64(len(b)) != size || digest(b) != sum {
		return media.ErrDigest
	}
	sim := s.p.sim
	return sim.call(ctx, s.p.actor, "store", key, true, func() error {
		sim.mutant.put(sim.bucket, key, fmt.Sprintf("%x", sum))
		return nil
	})
}

// uploaded is the id of a PNG that each owner has uploaded.
const uploaded = "0123456789abcdefghijklmnop"

// serveUpload answers a GET of the upload. To ingest it is gone while downloads fail. It is
// no call, which would have to be put in order with those of the downloads meanwhile.
func (p *process) serveUpload(r *http.Request) *http.Response {
	p.sim.mu.Lock()
	defer p.sim.mu.Unlock()
	status := http.StatusOK
	if p.kind == "ingest" && p.sim.conditions.download != "" {
		status = http.StatusNotFound
	}
	return &http.Response{StatusCode: status, Header: http.Header{}, Request: r, Body: io.NopCloser(bytes.NewReader(smallest))}
}

// smallest is a PNG of one pixel.
var smallest = func() []byte {
	var b bytes.Buffer
	if err := png.Encode(&b, image.NewGray(image.Rect(0, 0, 1, 1))); err != nil {
		panic(err)
	}
	return b.Bytes()
}()

// Erase deletes one object after another, as with S3, and may be interrupted in between.
func (s processBucket) Erase(ctx context.Context, prefix string) error {
	sim := s.p.sim
	var keys []string
	err := sim.call(ctx, s.p.actor, "list", prefix, false, func() error {
		keys = sim.bucket.under(prefix)
		return nil
	})
	for _, key := range keys {
		if err == nil {
			err = sim.call(ctx, s.p.actor, "erase", key, true, func() error {
				sim.mutant.erase(sim.bucket, key)
				return nil
			})
		}
	}
	return err
}
