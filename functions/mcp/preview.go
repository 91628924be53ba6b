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
	"github.com/preset/nanobanana-functions/shared/media"
	"github.com/preset/nanobanana-functions/shared/media/thumbnail"
	"github.com/preset/nanobanana-functions/shared/outbound"
)

const (
	previewBytes   = 9 << 10 // of the JPEG: four of them in base64 and all text stay below 60 KB
	maxThumbnail   = 1 << 20 // bytes that are read of a stored thumbnail
	previewTimeout = 4 * time.Second
)

// previewSides are the lengths of the longer side, in pixels, that are tried for a
// preview: pictures that are hard to compress get a smaller one.
var previewSides = []int{256, 192, 128}

// preview returns a small JPEG of an image, with a longer side of one of sides and at
// most limit bytes. It is made from the stored thumbnail, which is read by its lasting
// link, and marked like that.
func (c call) preview(i httpapi.Image, sides []int, limit int) ([]byte, error) {
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
	small, err := reduce(thumb, sides, limit)
	if err != nil {
		return nil, err
	}
	return media.Mark(small, i.Provenance.DigitalSourceType), nil
}

// reduce returns the largest preview of a thumbnail that fits, with its mark.
func reduce(thumb []byte, sides []int, limit int) (small []byte, err error) {
	for _, side := range sides {
		if small, err = thumbnail.Reduce(thumb, side, limit-media.MarkBytes); err == nil {
			return small, nil
		}
	}
	return nil, err
}

// fetch reads a thumbnail from the bucket. Its link is signed, so no error contains it.
func (c call) fetch(ctx context.Context, link string) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, previewTimeout)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, link, nil)
	if err != nil {
		return nil, errors.New("the bucket's link is no URL")
	}
	resp, err := c.HTTP.Do(r)
	if err != nil {
		return nil, fmt.Errorf("reading the thumbnail: %w", outbound.WithoutURL(err))
	}
	defer func() { _ = resp.Body.Close() }()
	if resp.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("reading the thumbnail: status %d", resp.StatusCode)
	}
	return io.ReadAll(io.LimitReader(resp.Body, maxThumbnail))
}
