package media

import (
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"
)

// save copies the body of resp to w. cancel ends the download.
func (f *Fetcher) save(ctx context.Context, cancel context.CancelCauseFunc, resp *http.Response, w io.Writer) (int64, error) {
	host := resp.Request.URL.Hostname()
	switch {
	case !complete(resp):
		return 0, &FetchError{Kind: KindStatus, Host: host, Status: resp.StatusCode}
	case resp.ContentLength > f.o.MaxBytes:
		return 0, &FetchError{Kind: KindTooBig, Host: host}
	}
	body := &pacedReader{r: resp.Body, window: f.o.FloorWindow, floor: f.o.FloorBytes, left: f.o.MaxBytes + 1}
	body.timer = time.AfterFunc(f.o.FloorWindow, func() { cancel(errStalled) })
	defer body.timer.Stop()

	picture, err := decoded(body)
	if body.err != nil {
		return 0, fetchError(ctx, KindCut, host, body.err)
	}
	if err != nil {
		return 0, &FetchError{Kind: KindNotPicture, Host: host}
	}
	// One byte more than allowed tells too big from exactly full.
	out := &failingWriter{w: w}
	written, err := io.Copy(out, io.LimitReader(picture, f.o.MaxBytes+1))
	switch {
	case body.err != nil:
		return written, fetchError(ctx, KindCut, host, body.err)
	case out.err != nil:
		return written, out.err
	case written > f.o.MaxBytes || body.left == 0:
		return written, &FetchError{Kind: KindTooBig, Host: host}
	case err != nil && !errors.Is(err, gzip.ErrHeader): // which is rubbish after the end of it
		return written, &FetchError{Kind: KindCut, Host: host, Err: errGzip}
	}
	return written, nil
}

// complete reports whether resp carries all of what is behind its link.
func complete(resp *http.Response) bool {
	switch resp.StatusCode {
	case http.StatusOK, http.StatusCreated, http.StatusNonAuthoritativeInfo:
		return true
	case http.StatusPartialContent:
		var last, size int64
		n, err := fmt.Sscanf(resp.Header.Get("Content-Range"), "bytes 0-%d/%d", &last, &size)
		return n == 2 && err == nil && last == size-1 && (resp.ContentLength < 0 || resp.ContentLength == size)
	}
	return false
}

// decoded returns the picture in body, which may be compressed by gzip, once.
// Its first bytes decide, never a header. The error means that no picture
// begins there; body.err is set if that is because it could not be read.
func decoded(body *pacedReader) (io.Reader, error) {
	head, r, err := peek(body)
	if err == nil || len(head) < 2 || head[0] != 0x1f || head[1] != 0x8b {
		return r, err
	}
	unzipped, err := gzip.NewReader(r)
	if err != nil {
		return nil, err
	}
	_, r, err = peek(unzipped)
	return r, err
}

// peek returns the first bytes of r, and a reader of all of it. The error
// means that no picture begins with them.
func peek(r io.Reader) (head []byte, all io.Reader, err error) {
	head = make([]byte, MagicLength)
	n, err := io.ReadFull(r, head)
	head = head[:n]
	if _, ok := Sniff(head); !ok && err == nil {
		err = ErrNotPicture
	}
	return head, io.MultiReader(bytes.NewReader(head), r), err
}

// A pacedReader lets timer fire unless floor bytes come in every window, and
// ends when none are left. It remembers why r failed, to tell that from a
// failure of the writer.
type pacedReader struct {
	r      io.Reader
	timer  *time.Timer
	window time.Duration
	floor  int64
	left   int64
	got    int64 // in this window
	err    error // of r, other than its end
}

func (p *pacedReader) Read(b []byte) (int, error) {
	if p.left == 0 {
		return 0, io.EOF
	}
	n, err := p.r.Read(b[:min(int64(len(b)), p.left)])
	p.left -= int64(n)
	if p.got += int64(n); p.got >= p.floor {
		p.got = 0
		p.timer.Reset(p.window)
	}
	if err != nil && !errors.Is(err, io.EOF) {
		p.err = err
	}
	return n, err
}

// A failingWriter remembers why w failed, to tell that from a failure of the
// reader.
type failingWriter struct {
	w   io.Writer
	err error
}

func (f *failingWriter) Write(b []byte) (int, error) {
	n, err := f.w.Write(b)
	if err != nil {
		f.err = err
	}
	return n, err
}
