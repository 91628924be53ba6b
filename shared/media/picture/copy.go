package picture

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/preset/nanobanana-functions/shared/media"
	"github.com/preset/nanobanana-functions/shared/media/thumbnail"
)

// Copy decodes all of file, whose length the caller limits, and returns the picture encoded anew: upright,
// on white where it is transparent, with its ICC profile, and without all else that its
// file said. It returns media.ErrNotPicture for a file that the decoders do not prove to
// be a sound picture. Other errors, and the memory, are those of Open.
func Copy(ctx context.Context, file io.ReadSeeker) (media.Copy, error) {
	src := &source{ctx: ctx, file: file}
	c, err := encodeAnew(src)
	switch {
	case src.err != nil:
		return media.Copy{}, fmt.Errorf("picture: copy: %w", src.err)
	case err != nil:
		return media.Copy{}, fmt.Errorf("%w: %w", media.ErrNotPicture, err)
	}
	return c, nil
}

func encodeAnew(src *source) (media.Copy, error) {
	layout, err := media.Walk(src.fromStart())
	switch {
	case err != nil:
		return media.Copy{}, err
	case layout.Flaw != "":
		return media.Copy{}, errors.New(layout.Flaw)
	case layout.JPEG.Scans > media.MaxScans:
		return media.Copy{}, fmt.Errorf("%d scans", layout.JPEG.Scans)
	}
	img, err := decode(src, layout)
	if err != nil {
		return media.Copy{}, err
	}
	icc := profile(layout, img)
	small := thumbnail.Upright(img, media.InputSide, layout.Orientation)
	c := media.Copy{Width: small.Rect.Dx(), Height: small.Rect.Dy()}
	if c.JPEG, err = thumbnail.Finish(small, icc); err == nil {
		c.Thumbnail, err = thumbnail.Make(small, media.ThumbnailSide, thumbnail.Look{Profile: icc})
	}
	return c, err
}
