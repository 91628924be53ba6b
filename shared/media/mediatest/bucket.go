// Package mediatest holds the tests that every media.Bucket, media.Linker and
// media.Uploader must pass.
package mediatest

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"io"
	"mime"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/preset/nanobanana-functions/shared/media"
)

// A Subject is an implementation to test. The tests write and erase objects under
// "tasks/" and "uploads/".
type Subject struct {
	Bucket   media.Bucket
	Linker   media.Linker
	Uploader media.Uploader
	// Client follows the links.
	Client *http.Client
	// Advance moves the clock for the expiry of links. If it is nil, as for a
	// stand-in of S3 that accepts every link, the tests of expired and
	// forged links are skipped.
	Advance func(time.Duration)
}

// TestBucket checks that s keeps the promises of media.Bucket and
// media.Linker.
func TestBucket(t *testing.T, s Subject) {
	t.Run("a link returns the stored bytes and their type", s.testVerbatim)
	t.Run("a link supports range requests", s.testRange)
	t.Run("the same bytes can be put again and concurrently", s.testRepeated)
	t.Run("other bytes than announced are refused and change nothing", s.testDigest)
	t.Run("erase deletes the objects under a prefix only", s.testErase)
	t.Run("erase refuses a prefix without a slash", s.testPrefix)
	t.Run("a link to a missing object is not found", s.testMissing)
	t.Run("a link sets the file name of a download", s.testDownload)
	t.Run("a link sets the type of the response", s.testContentType)
	t.Run("a forged link is refused", s.testForged)
	t.Run("a link expires", s.testExpiry)
}

const linkTTL = 15 * time.Minute

func (s Subject) put(t *testing.T, key, body string) {
	t.Helper()
	r := strings.NewReader(body)
	r.Seek(0, io.SeekEnd) // Put must rewind
	err := s.Bucket.Put(t.Context(), key, r, int64(len(body)), media.ContentType(key), sha256.Sum256([]byte(body)))
	if err != nil {
		t.Fatalf("Put(%s): %v", key, err)
	}
}

func (s Subject) link(t *testing.T, key string, o media.LinkOptions) string {
	t.Helper()
	link, err := s.Linker.Link(t.Context(), key, linkTTL, o)
	if err != nil {
		t.Fatalf("Link(%s): %v", key, err)
	}
	return link
}

func (s Subject) follow(t *testing.T, link string, header http.Header) (*http.Response, string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, link, nil)
	if err != nil {
		t.Fatal(err)
	}
	for name, values := range header {
		req.Header[name] = values
	}
	resp, err := s.Client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, media.MaxBytes))
	if err != nil {
		t.Fatal(err)
	}
	return resp, string(body)
}

func (s Subject) wantBody(t *testing.T, key, want string) {
	t.Helper()
	resp, body := s.follow(t, s.link(t, key, media.LinkOptions{}), nil)
	if resp.StatusCode != http.StatusOK || body != want {
		t.Errorf("GET %s: %d with %d bytes, want 200 with %d", key, resp.StatusCode, len(body), len(want))
	}
}

func (s Subject) wantGone(t *testing.T, key string) {
	t.Helper()
	// A bucket whose keys may not be listed answers 403 for a missing object.
	resp, _ := s.follow(t, s.link(t, key, media.LinkOptions{}), nil)
	if resp.StatusCode != http.StatusNotFound && resp.StatusCode != http.StatusForbidden {
		t.Errorf("GET %s: %d, want 404 or 403", key, resp.StatusCode)
	}
}

func (s Subject) testVerbatim(t *testing.T) {
	body := "\x89PNG\r\n\x1a\n" + strings.Repeat("\x00\xff<html>", 50_000)
	for _, ext := range []string{"png", "jpg", "webp"} {
		key := media.Key("verbatim", 1, sha256.Sum256([]byte(body)), ext)
		s.put(t, key, body)
		resp, got := s.follow(t, s.link(t, key, media.LinkOptions{}), nil)
		if resp.StatusCode != http.StatusOK || got != body {
			t.Errorf("%s: %d with %d bytes, want 200 with the %d put", ext, resp.StatusCode, len(got), len(body))
		}
		if got, want := resp.Header.Get("Content-Type"), media.ContentType(key); got != want {
			t.Errorf("%s: Content-Type %q, want %q", ext, got, want)
		}
		if got := resp.Header.Get("Content-Disposition"); got != "" {
			t.Errorf("%s: Content-Disposition %q, want none", ext, got)
		}
	}
	empty := media.Key("verbatim", 2, sha256.Sum256(nil), "png")
	s.put(t, empty, "")
	s.wantBody(t, empty, "")
}

func (s Subject) testRange(t *testing.T) {
	key := media.Key("range", 1, [32]byte{}, "png")
	s.put(t, key, "0123456789")
	resp, body := s.follow(t, s.link(t, key, media.LinkOptions{}), http.Header{"Range": {"bytes=3-5"}})
	if resp.StatusCode != http.StatusPartialContent || body != "345" {
		t.Errorf("got %d %q, want 206 \"345\"", resp.StatusCode, body)
	}
}

func (s Subject) testRepeated(t *testing.T) {
	body := strings.Repeat("the same picture ", 10_000)
	sum := sha256.Sum256([]byte(body))
	key := media.Key("again", 1, sum, "png")
	s.put(t, key, body)
	s.put(t, key, body)
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			err := s.Bucket.Put(t.Context(), key, strings.NewReader(body), int64(len(body)), "image/png", sum)
			if err != nil {
				t.Errorf("concurrent Put: %v", err)
			}
		})
	}
	wg.Wait()
	s.wantBody(t, key, body)
}

func (s Subject) testDigest(t *testing.T) {
	sum := sha256.Sum256([]byte("right"))
	key := media.Key("digest", 1, sum, "png")
	refused := func(body string, size int64, sum [32]byte) {
		t.Helper()
		err := s.Bucket.Put(t.Context(), key, strings.NewReader(body), size, "image/png", sum)
		if !errors.Is(err, media.ErrDigest) {
			t.Errorf("Put(%q, %d): %v, want ErrDigest", body, size, err)
		}
	}
	refused("wrong", 5, sum)
	s.wantGone(t, key)
	s.put(t, key, "right")
	refused("wrong", 5, sum)
	refused("right", 5, [32]byte{1})
	refused("right", 4, sum)
	refused("right", 6, sum)
	s.wantBody(t, key, "right")

	broken := io.NewSectionReader(brokenReader{}, 0, 5)
	if err := s.Bucket.Put(t.Context(), key, broken, 5, "image/png", sum); err == nil {
		t.Error("Put of a body that cannot be read succeeds")
	}
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	other := media.Key("digest", 2, sum, "png")
	if err := s.Bucket.Put(ended, other, strings.NewReader("right"), 5, "image/png", sum); err == nil {
		t.Error("Put with an ended context succeeds")
	}
	s.wantBody(t, key, "right")
	s.wantGone(t, other)
}

type brokenReader struct{}

func (brokenReader) ReadAt([]byte, int64) (int, error) { return 0, errors.New("disk gone") }

func (s Subject) testErase(t *testing.T) {
	sum := sha256.Sum256([]byte("picture"))
	var gone []string
	for n := 1; n <= 3; n++ {
		gone = append(gone, media.Key("erase", n, sum, "webp"), media.ThumbnailKey("erase", n, sum))
	}
	stays := []string{media.Key("erase2", 1, sum, "png"), media.Key("eras", 1, sum, "png")}
	for _, key := range append(stays, gone...) {
		s.put(t, key, "picture")
	}
	for range 2 { // the second time there is nothing left to erase
		if err := s.Bucket.Erase(t.Context(), media.Prefix("erase")); err != nil {
			t.Fatalf("Erase: %v", err)
		}
	}
	for _, key := range gone {
		s.wantGone(t, key)
	}
	for _, key := range stays {
		s.wantBody(t, key, "picture")
	}
	s.put(t, gone[0], "picture")
	s.wantBody(t, gone[0], "picture")
}

func (s Subject) testPrefix(t *testing.T) {
	key := media.Key("prefix", 1, [32]byte{}, "png")
	s.put(t, key, "picture")
	for _, prefix := range []string{"", "/", "tasks", "tasks/prefix", "tasks/pre"} {
		if err := s.Bucket.Erase(t.Context(), prefix); err == nil {
			t.Errorf("Erase(%q) succeeds", prefix)
		}
	}
	s.wantBody(t, key, "picture")
}

func (s Subject) testMissing(t *testing.T) {
	s.wantGone(t, media.Key("absent", 1, [32]byte{}, "png"))
}

func (s Subject) testDownload(t *testing.T) {
	key := media.Key("download", 1, [32]byte{}, "png")
	s.put(t, key, "picture")
	for _, name := range []string{"nano-banana-2026-10-05-1.png", `a "quoted"; name & more?.png`, "Bücher & 画像.png"} {
		resp, body := s.follow(t, s.link(t, key, media.LinkOptions{Download: name}), nil)
		disposition, params, err := mime.ParseMediaType(resp.Header.Get("Content-Disposition"))
		if err != nil || disposition != "attachment" || params["filename"] != name {
			t.Errorf("Content-Disposition %q (%v), want attachment of %q", resp.Header.Get("Content-Disposition"), err, name)
		}
		if resp.StatusCode != http.StatusOK || body != "picture" {
			t.Errorf("got %d %q", resp.StatusCode, body)
		}
	}
}

func (s Subject) testContentType(t *testing.T) {
	key := media.Key("type", 1, [32]byte{}, "png")
	s.put(t, key, "picture")
	for _, o := range []media.LinkOptions{{ContentType: "image/jpeg"}, {ContentType: "image/webp", Download: "a.webp"}} {
		resp, body := s.follow(t, s.link(t, key, o), nil)
		if got := resp.Header.Get("Content-Type"); resp.StatusCode != http.StatusOK || body != "picture" || got != o.ContentType {
			t.Errorf("got %d %q of type %q, want %s", resp.StatusCode, body, got, o.ContentType)
		}
	}
	if resp, _ := s.follow(t, s.link(t, key, media.LinkOptions{}), nil); resp.Header.Get("Content-Type") != "image/png" {
		t.Errorf("another link has the type %q", resp.Header.Get("Content-Type"))
	}
}

func (s Subject) testForged(t *testing.T) {
	if s.Advance == nil {
		t.Skip("this bucket accepts every link")
	}
	sum := sha256.Sum256([]byte("picture"))
	key, other := media.Key("forged", 1, sum, "png"), media.Key("forged", 2, sum, "png")
	s.put(t, key, "picture")
	s.put(t, other, "picture")
	refused := func(link string) {
		t.Helper()
		if resp, body := s.follow(t, link, nil); resp.StatusCode < 400 || body == "picture" {
			t.Errorf("GET %s: %d", link, resp.StatusCode)
		}
	}
	link := s.link(t, key, media.LinkOptions{Download: "name.png", ContentType: "image/jpeg"})
	refused(strings.Replace(link, media.File(key), media.File(other), 1))
	refused(link[:strings.Index(link, "?")])
	u, err := url.Parse(link)
	if err != nil {
		t.Fatal(err)
	}
	for name := range u.Query() {
		query := u.Query()
		query.Del(name)
		u.RawQuery = query.Encode()
		refused(u.String())
		old := []byte(u.Query().Get(name) + "1")
		query.Set(name, string(bytes.Replace(old, old[:1], []byte("0"), 1)))
		u.RawQuery = query.Encode()
		refused(u.String())
		u, _ = url.Parse(link)
	}
}

func (s Subject) testExpiry(t *testing.T) {
	if s.Advance == nil {
		t.Skip("this bucket accepts every link")
	}
	key := media.Key("expiry", 1, [32]byte{}, "png")
	s.put(t, key, "picture")
	link := s.link(t, key, media.LinkOptions{})
	s.Advance(linkTTL - time.Second)
	if resp, _ := s.follow(t, link, nil); resp.StatusCode != http.StatusOK {
		t.Errorf("one second before its expiry a link answers %d", resp.StatusCode)
	}
	s.Advance(2 * time.Second)
	if resp, _ := s.follow(t, link, nil); resp.StatusCode != http.StatusForbidden {
		t.Errorf("one second after its expiry a link answers %d, want 403", resp.StatusCode)
	}
}
