// Package s3bucket stores pictures in S3. Functions that only link to pictures use
// s3link instead, because the S3 client is the largest of the SDK's.
package s3bucket

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"

	"github.com/preset/nanobanana-functions/shared/aws/env"
	"github.com/preset/nanobanana-functions/shared/media"
)

// requestTimeout is the limit of one request: the largest picture is 25 MiB.
const requestTimeout = time.Minute

// Bucket is a media.Bucket in S3. It is safe for concurrent use.
type Bucket struct {
	client *s3.Client
	name   *string
}

var _ media.Bucket = (*Bucket)(nil)

// Open returns the bucket of this name.
func Open(name string) *Bucket { return New(env.Config(requestTimeout), name) }

// New returns the bucket of this name, used by a client of this configuration.
func New(c aws.Config, name string) *Bucket {
	client := s3.NewFromConfig(c, func(o *s3.Options) { o.UsePathStyle = c.BaseEndpoint != nil })
	return &Bucket{client: client, name: &name}
}

// Put implements media.Bucket. It checks the bytes against sum before it sends
// them, and S3 checks them again.
func (b *Bucket) Put(ctx context.Context, key string, body io.ReadSeeker, size int64, contentType string, sum [32]byte) error {
	if err := check(body, size, sum); err != nil {
		return fmt.Errorf("s3bucket: put %s: %w", key, err)
	}
	ctx = v4.SetPayloadHash(ctx, hex.EncodeToString(sum[:])) // otherwise the signer reads the body again
	_, err := b.client.PutObject(ctx, &s3.PutObjectInput{
		Bucket: b.name, Key: &key, Body: body, ContentLength: &size,
		ContentType: &contentType, CacheControl: aws.String(media.CacheControl),
		ChecksumSHA256: aws.String(base64.StdEncoding.EncodeToString(sum[:])),
	})
	if err != nil {
		return fmt.Errorf("s3bucket: put %s: %w", key, err)
	}
	return nil
}

// check rewinds body and compares all of it with size and sum.
func check(body io.ReadSeeker, size int64, sum [32]byte) error {
	if _, err := body.Seek(0, io.SeekStart); err != nil {
		return err
	}
	hash := sha256.New()
	n, err := io.Copy(hash, io.LimitReader(body, size+1))
	if err != nil {
		return err
	}
	if n != size || [32]byte(hash.Sum(nil)) != sum {
		return media.ErrDigest
	}
	_, err = body.Seek(0, io.SeekStart)
	return err
}

// Erase implements media.Bucket. In a bucket with versions it deletes each of them, and
// the marks of deleted objects; in one without, the only version is "null". It lists the
// first page again after each one that it has deleted, so it never asks for what follows
// a version that no longer exists.
func (b *Bucket) Erase(ctx context.Context, prefix string) error {
	if len(prefix) < 2 || !strings.HasSuffix(prefix, "/") {
		return fmt.Errorf("s3bucket: erase: %q is not a prefix of a folder", prefix)
	}
	for more := true; more; {
		page, err := b.client.ListObjectVersions(ctx, &s3.ListObjectVersionsInput{Bucket: b.name, Prefix: &prefix})
		if err == nil {
			err = b.delete(ctx, page)
		}
		if err != nil {
			return fmt.Errorf("s3bucket: erase %s: %w", prefix, err)
		}
		more = aws.ToBool(page.IsTruncated)
	}
	return nil
}

// delete deletes what a page lists, which is at most what one request may delete.
func (b *Bucket) delete(ctx context.Context, page *s3.ListObjectVersionsOutput) error {
	ids := make([]types.ObjectIdentifier, 0, len(page.Versions)+len(page.DeleteMarkers))
	for _, v := range page.Versions {
		ids = append(ids, types.ObjectIdentifier{Key: v.Key, VersionId: v.VersionId})
	}
	for _, m := range page.DeleteMarkers {
		ids = append(ids, types.ObjectIdentifier{Key: m.Key, VersionId: m.VersionId})
	}
	if len(ids) == 0 {
		return nil
	}
	done, err := b.client.DeleteObjects(ctx, &s3.DeleteObjectsInput{
		Bucket: b.name, Delete: &types.Delete{Objects: ids, Quiet: aws.Bool(true)},
	})
	if err != nil {
		return err
	}
	var faults error
	for _, fault := range done.Errors {
		faults = errors.Join(faults, fmt.Errorf("%s: %s", aws.ToString(fault.Key), aws.ToString(fault.Code)))
	}
	return faults
}
