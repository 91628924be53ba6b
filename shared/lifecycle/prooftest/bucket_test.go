package prooftest

import (
	"context"
	"crypto/sha256"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"

	"github.com/preset/nanobanana-functions/shared/media"
)

func digest(b []byte) [32]byte { return sha256.Sum256(b) }

// bucket is what stands in the bucket: the SHA-256 of each object, in hex.
// Guarded by world.mu.
type bucket struct{ objects map[string]string }

// under gives the keys that begin with a prefix.
func (b *bucket) under(prefix string) []string {
	keys := slices.Sorted(maps.Keys(b.objects))
	return slices.DeleteFunc(keys, func(key string) bool { return !strings.HasPrefix(key, prefix) })
}

// shelf is the bucket as one process reaches it.
type shelf struct{ p *process }

func (s shelf) Put(ctx context.Context, key string, body io.ReadSeeker, size int64, _ string, sum [32]byte) error {
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
	w := s.p.world
	return w.call(ctx, s.p.actor, "store", key, true, func() error {
		w.mutant.keep(w.bucket, key, fmt.Sprintf("%x", sum))
		return nil
	})
}

// Erase deletes object by object, as S3 does: it can be cut short in between.
func (s shelf) Erase(ctx context.Context, prefix string) error {
	w := s.p.world
	var keys []string
	err := w.call(ctx, s.p.actor, "list", prefix, false, func() error {
		keys = w.bucket.under(prefix)
		return nil
	})
	for _, key := range keys {
		if err == nil {
			err = w.call(ctx, s.p.actor, "erase", key, true, func() error {
				w.mutant.erase(w.bucket, key)
				return nil
			})
		}
	}
	return err
}
