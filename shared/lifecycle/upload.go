package lifecycle

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"sync"
	"time"

	"github.com/preset/nanobanana-functions/shared/media"
	"github.com/preset/nanobanana-functions/shared/outbound"
)

// inspectTimeout bounds the check of all uploads, so that a submit still starts its POST
// in time. Within one region, fourteen uploads of the largest size take two seconds.
const inspectTimeout = 4 * time.Second

var (
	noUpload  = &fault{"not_found", "You have no such upload, or it was never finished. Upload the picture again."}
	notUpload = &fault{"not_a_picture", fmt.Sprintf("This upload is not a complete PNG, JPEG or WebP picture of its announced type, or has more than %d megapixels or %d pixels on a side.",
		media.MaxPixels/1_000_000, media.MaxSide)}
)

// inspect checks the uploads among inputs before anything is stored or paid for: each
// must exist and be a picture as far as media.Inspect sees. It does not decode them,
// since linking the decoders would slow down the start of submit; what only they would
// find, the provider finds, and its refusal costs nothing. If uploads cannot be used,
// the error is a *task.Error with a field for each.
func (s *Submitter) inspect(ctx context.Context, ins inputs) error {
	ctx, cancel := context.WithTimeout(ctx, inspectTimeout)
	defer cancel()
	faults, errs := make([]*fault, len(ins)), make([]error, len(ins))
	var all sync.WaitGroup
	for i, in := range ins {
		if in.upload {
			all.Go(func() { faults[i], errs[i] = s.inspectUpload(ctx, in.key) })
		}
	}
	all.Wait()
	if err := errors.Join(errs...); err != nil {
		return unavailable(err)
	}
	return invalidEntries(faults)
}

func (s *Submitter) inspectUpload(ctx context.Context, key string) (*fault, error) {
	body, err := s.openUpload(ctx, key)
	switch {
	case err != nil:
		return nil, err
	case body == nil:
		return noUpload, nil
	}
	defer func() { _ = body.Close() }()
	limited := &io.LimitedReader{R: body, N: media.MaxUploadBytes + 1}
	found, err := media.Inspect(limited)
	switch {
	case errors.Is(err, media.ErrNotPicture):
		return notUpload, nil
	case ctx.Err() != nil:
		// It exists, with the type and length that its signature fixed. Otherwise an
		// order with many large uploads would never pass.
		s.Log.WarnContext(ctx, "an upload was not checked: too little time; the order goes on")
		return nil, nil
	case err != nil:
		return nil, fmt.Errorf("reading an upload: %w", err)
	case found.ContentType != media.ContentType(key) || limited.N == 0:
		return notUpload, nil
	}
	return nil, nil
}

// openUpload opens the object under a key by a link, since an S3 client would double
// the size of the function. The body is nil if there is no object.
func (s *Submitter) openUpload(ctx context.Context, key string) (io.ReadCloser, error) {
	link, err := s.Links.Link(ctx, key, time.Minute, media.LinkOptions{})
	if err != nil {
		return nil, err
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, link, nil)
	if err != nil {
		return nil, errors.New("the link to an upload is not a URL") // err quotes it
	}
	resp, err := s.HTTP.Do(r)
	if err != nil {
		return nil, fmt.Errorf("fetching an upload: %w", outbound.WithoutURL(err)) // the link is signed
	}
	switch resp.StatusCode {
	case http.StatusOK:
		return resp.Body, nil
	case http.StatusNotFound, http.StatusForbidden:
		// S3 answers 403 for a missing object to callers that may not list the bucket.
		s.Log.Log(ctx, slog.LevelInfo, "an upload does not exist", "status", resp.StatusCode)
		return nil, resp.Body.Close()
	}
	return nil, errors.Join(fmt.Errorf("fetching an upload: %s", resp.Status), resp.Body.Close())
}
