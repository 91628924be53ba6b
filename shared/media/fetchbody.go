package media

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"io"
	"net/http"
	"regexp"
	"strconv"
	"sync"
	"time"
)

// save copies the picture in the body of resp to w. cancel ends the download.
func (f *Fetcher) save(ctx context.Context, cancel context.CancelCauseFunc, resp *http.Response, w io.Writer) (int64, error) {
	host := resp.Request.URL.Hostname()
	size, ok := completeSize(resp)
	switch {
	case !ok:
		return 0, &FetchError{Kind: KindStatus, Host: host, Status: resp.StatusCode}
	case size > f.o.MaxBytes:
		return 0, &FetchError{Kind: KindTooBig, Host: host}
	}
	body := &pacedReader{r: resp.Body, window: f.o.FloorWindow, floor: f.o.FloorBytes, left: f.o.MaxBytes + 1, expected: size}
	body.timer = time.AfterFunc(f.o.FloorWindow, func() { cancel(errStalled) })
	defer body.timer.Stop()

	picture, err := decompressed(body)
	if body.err != nil {
		return 0, fetchError(ctx, KindCut, host, body.err)
	}
	if err != nil {
		return 0, &FetchError{Kind: KindNotPicture, Host: host}
	}
	// One extra byte distinguishes too big from exactly full.
	out := &failingWriter{w: w}
	written, err := io.Copy(out, io.LimitReader(picture, f.o.MaxBytes+1))
	switch {
	case body.err != nil:
		return written, fetchError(ctx, KindCut, host, body.err)
	case out.err != nil:
		return written, out.err
	case written > f.o.MaxBytes || body.left == 0:
		return written, &FetchError{Kind: KindTooBig, Host: host}
	case err != nil:
		return written, &FetchError{Kind: KindCut, Host: host, Err: errGzip}
	}
	return written, nil
}

// rangeFromStart matches a Content-Range that begins with the first byte.
var rangeFromStart = sync.OnceValue(func() *regexp.Regexp {
	return regexp.MustCompile(`(?i)^bytes +0-([0-9]{1,18})/([0-9]{1,18})$`)
})

// completeSize reports whether resp carries the complete file, and the file's size:
// -1 if resp does not state it.
func completeSize(resp *http.Response) (size int64, ok bool) {
	switch resp.StatusCode {
	case http.StatusOK, http.StatusCreated, http.StatusNonAuthoritativeInfo:
		return resp.ContentLength, true
	case http.StatusPartialContent:
		found := rangeFromStart().FindStringSubmatch(resp.Header.Get("Content-Range"))
		if found == nil {
			return 0, false
		}
		last, _ := strconv.ParseInt(found[1], 10, 64) // at most 18 digits fit
		size, _ = strconv.ParseInt(found[2], 10, 64)
		return size, last == size-1 && (resp.ContentLength < 0 || resp.ContentLength == size)
	}
	return 0, false
}

// decompressed returns the picture in body, which may be compressed with gzip once.
// The first bytes decide, not a header. The error means that body does not begin
// with a picture; body.err is set if reading failed.
func decompressed(body *pacedReader) (io.Reader, error) {
	head, r, err := peek(body)
	if err == nil || len(head) < 2 || head[0] != 0x1f || head[1] != 0x8b {
		return r, err
	}
	file := bufio.NewReader(r)
	member, err := gzip.NewReader(file)
	if err != nil {
		return nil, err
	}
	member.Multistream(false)
	_, r, err = peek(&gunzip{file: file, member: member})
	return r, err
}

// A gunzip reads the members of a gzip file one after another, and ignores what
// follows the last. (A gzip.Reader alone takes up to nine bytes of that for a
// member that is cut short.)
type gunzip struct {
	file   *bufio.Reader
	member *gzip.Reader
	ended  bool
}

func (g *gunzip) Read(b []byte) (int, error) {
	for !g.ended {
		n, err := g.member.Read(b)
		if !errors.Is(err, io.EOF) {
			return n, err
		}
		if n > 0 {
			return n, nil // the next read returns io.EOF again
		}
		g.ended = g.member.Reset(g.file) != nil
		g.member.Multistream(false)
	}
	return 0, io.EOF
}

// peek returns the first bytes of r, and a reader for all of r. The error means
// that r does not begin with a picture.
func peek(r io.Reader) (head []byte, all io.Reader, err error) {
	head = make([]byte, MagicLength)
	n, err := io.ReadFull(r, head)
	head = head[:n]
	if _, ok := Sniff(head); !ok && err == nil {
		err = ErrNotPicture
	}
	return head, io.MultiReader(bytes.NewReader(head), r), err
}

// A pacedReader reads at most left bytes of r, and lets timer fire unless every
// window brings floor bytes. If r ends before the expected number of bytes, that is
// an error. It keeps the error of r, so that save can distinguish it from one of
// the writer.
type pacedReader struct {
	r        io.Reader
	timer    *time.Timer
	window   time.Duration
	floor    int64
	left     int64
	expected int64 // not yet read; negative if unknown
	got      int64 // in this window
	err      error // of r, except io.EOF
}

func (p *pacedReader) Read(b []byte) (int, error) {
	if p.left == 0 {
		return 0, io.EOF
	}
	n, err := p.r.Read(b[:min(int64(len(b)), p.left)])
	p.left -= int64(n)
	p.expected -= int64(n)
	if errors.Is(err, io.EOF) && p.expected > 0 {
		err = io.ErrUnexpectedEOF
	}
	if p.got += int64(n); p.got >= p.floor {
		p.got = 0
		p.timer.Reset(p.window)
	}
	if err != nil && !errors.Is(err, io.EOF) {
		p.err = err
	}
	return n, err
}

// A failingWriter keeps the error of w, so that save can distinguish it from one of
// the reader.
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
