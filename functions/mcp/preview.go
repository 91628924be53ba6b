package mcp

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"time"

	"github.com/preset/nanobanana-functions/shared/httpapi"
	"github.com/preset/nanobanana-functions/shared/thumbnail"
)

const (
	previewSide  = 256     // pixels of the longer side
	previewBytes = 9 << 10 // of the JPEG: four in base64, and all text, stay under 60 KB
	maxThumbnail = 1 << 20 // bytes of a stored one that are read
	previewTime  = 4 * time.Second
)

// preview gives a small JPEG of an image, made from its stored thumbnail, which
// the image's own link leads to.
func (c call) preview(i httpapi.Image) ([]byte, error) {
	lasting, err := url.Parse(i.ThumbnailURL)
	if err != nil {
		return nil, err
	}
	answer, err := c.api(http.MethodGet, lasting.EscapedPath(), nil, nil, nil)
	if err != nil {
		return nil, err
	}
	thumb, err := c.fetch(c.request.Context(), answer.Header.Get("Location"))
	if err != nil {
		return nil, err
	}
	return thumbnail.Reduce(thumb, previewSide, previewBytes)
}

// fetch reads a thumbnail from the bucket. Its link is signed, so no error holds it.
func (c call) fetch(ctx context.Context, link string) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, previewTime)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, link, nil)
	if err != nil {
		return nil, errors.New("the bucket's link is no URL")
	}
	resp, err := c.HTTP.Do(r)
	if failed, ok := errors.AsType[*url.Error](err); ok {
		return nil, fmt.Errorf("reading the thumbnail: %w", failed.Err)
	} else if err != nil {
		return nil, err
	}
	defer func() { _ = resp.Body.Close() }()
	if resp.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("reading the thumbnail: status %d", resp.StatusCode)
	}
	return io.ReadAll(io.LimitReader(resp.Body, maxThumbnail))
}
