package lifecycle

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"sync"
	"time"

	"github.com/preset/nanobanana-functions/shared/media"
	"github.com/preset/nanobanana-functions/shared/outbound"
)

// inspectTimeout bounds the check of all uploads, so that a submit still starts its POST
// in time. Within one region, fourteen uploads of the largest size take two seconds.
const inspectTimeout = 4 * time.Second

// Faults of an upload that is not there. Whose it is does not show.
var (
	noUpload      = &fault{"not_found", "You have no uploaded picture with this id. Upload it and try again."}
	expiredUpload = &fault{"expired", "This upload has expired. Upload the picture again."}
)

// inspect checks the uploads among the inputs before anything is stored or paid for: each
// must exist and be a picture as far as media.Inspect sees, whatever it was announced as.
// It does not decode them, since linking the decoders would slow down the start of
// submit; what only they would find, the provider finds, and its refusal costs nothing.
// It sets the fault of each upload that cannot be used.
func (c *check) inspect(ctx context.Context, ins inputs, faults []*fault) error {
	ctx, cancel := context.WithTimeout(ctx, inspectTimeout)
	defer cancel()
	errs := make([]error, len(ins))
	var all sync.WaitGroup
	for i := range ins {
		if in := &ins[i]; in.upload != "" {
			all.Go(func() { faults[i], errs[i] = c.inspectUpload(ctx, in) })
		}
	}
	all.Wait()
	if err := errors.Join(errs...); err != nil {
		return unavailable(err)
	}
	return nil
}

func (c *check) inspectUpload(ctx context.Context, in *input) (*fault, error) {
	body, err := openUpload(ctx, c.Links, c.HTTP, in.key)
	switch {
	case errors.Is(err, errNoUpload) && media.UploadExpired(in.upload, c.Now()):
		return expiredUpload, nil
	case errors.Is(err, errNoUpload):
		c.log.InfoContext(ctx, "an upload does not exist", "error", err)
		return noUpload, nil
	case err != nil:
		return nil, err
	}
	defer func() { _ = body.Close() }()
	limited := &io.LimitedReader{R: body, N: media.MaxUploadBytes + 1}
	found, err := media.Inspect(limited)
	refusal, refused := errors.AsType[*media.Refusal](err)
	switch {
	case limited.N == 0:
		refusal = media.RefusedLarge
	case refused:
	case ctx.Err() != nil:
		// It exists, with the type and length that its signature fixed. Otherwise an
		// order with many large uploads would never pass.
		c.log.WarnContext(ctx, "an upload was not checked: too little time; the order goes on")
		return nil, nil
	case err != nil:
		return nil, fmt.Errorf("reading an upload: %w", err)
	}
	if refusal != nil {
		return &fault{refusal.Code, refusal.Message}, nil
	}
	if found.ContentType != media.ContentType(in.key) {
		in.contentType = found.ContentType
	}
	return nil, nil
}

// errNoUpload means that there is no object under the key of an upload.
var errNoUpload = errors.New("there is no such upload")

// openUpload opens the object under a key by a link: an S3 client would double the size
// of submit, and its GET alone is 80 KB of ingest's.
func openUpload(ctx context.Context, links media.Linker, client *http.Client, key string) (io.ReadCloser, error) {
	link, err := links.Link(ctx, key, time.Minute, media.LinkOptions{})
	if err != nil {
		return nil, err
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, link, nil)
	if err != nil {
		return nil, errors.New("the link to an upload is not a URL") // err quotes it
	}
	resp, err := client.Do(r)
	if err != nil {
		return nil, fmt.Errorf("fetching an upload: %w", outbound.WithoutURL(err)) // the link is signed
	}
	err = fmt.Errorf("fetching an upload: %s", resp.Status)
	switch resp.StatusCode {
	case http.StatusOK:
		return resp.Body, nil
	case http.StatusNotFound, http.StatusForbidden:
		// S3 answers 403 for a missing object to callers that may not list the bucket.
		err = fmt.Errorf("%w: %s", errNoUpload, resp.Status)
	}
	return nil, errors.Join(err, resp.Body.Close())
}
