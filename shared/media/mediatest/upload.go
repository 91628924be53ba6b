package mediatest

import (
	"net/http"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/preset/nanobanana-functions/shared/media"
)

// TestUploads checks that s keeps the promises of media.Uploader.
func TestUploads(t *testing.T, s Subject) {
	t.Run("a link returns the uploaded bytes and their type", s.testUpload)
	t.Run("a second PUT is refused and changes nothing", s.testOnce)
	t.Run("of many concurrent uploads one is stored", s.testConcurrentUploads)
	t.Run("a link for reading does not write, and a link for uploading does not read", s.testVerbs)
	t.Run("another file than announced is refused and leaves nothing behind", s.testOtherFile)
	t.Run("a forged link for uploading is refused", s.testForgedUpload)
	t.Run("a link for uploading expires", s.testUploadExpiry)
}

// newUpload returns the key of a new upload, and a link and header to put size bytes
// there.
func (s Subject) newUpload(t *testing.T, contentType string, size int) (key, link string, header http.Header) {
	t.Helper()
	_, key, ok := media.NewUpload("ada", contentType, time.Now())
	if !ok {
		t.Fatalf("no key for %s", contentType)
	}
	link, header, err := s.Uploader.PutLink(t.Context(), key, int64(size), linkTTL)
	if err != nil {
		t.Fatalf("PutLink(%s): %v", key, err)
	}
	return key, link, header
}

// upload puts a body and returns the status of the response. change lists names and
// values of headers to replace, or to remove if the value is empty.
func (s Subject) upload(t *testing.T, link string, header http.Header, body string, change ...string) int {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPut, link, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	r.Header = header.Clone()
	for i := 0; i < len(change); i += 2 {
		if r.Header.Del(change[i]); change[i+1] != "" {
			r.Header.Set(change[i], change[i+1])
		}
	}
	resp, err := s.Client.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	_ = resp.Body.Close()
	return resp.StatusCode
}

func (s Subject) testUpload(t *testing.T) {
	body := strings.Repeat("\x89PNG\r\n\x00\xff", 100_000)
	for _, contentType := range []string{"image/png", "image/jpeg", "image/webp"} {
		key, link, header := s.newUpload(t, contentType, len(body))
		s.wantGone(t, key)
		if got := s.upload(t, link, header, body); got != http.StatusOK {
			t.Fatalf("%s: PUT answers %d, want 200", contentType, got)
		}
		resp, got := s.follow(t, s.link(t, key, media.LinkOptions{}), nil)
		if resp.StatusCode != http.StatusOK || got != body || resp.Header.Get("Content-Type") != contentType {
			t.Errorf("%s: %d with %d bytes of %s", contentType, resp.StatusCode, len(got), resp.Header.Get("Content-Type"))
		}
	}
}

func (s Subject) testOnce(t *testing.T) {
	key, link, header := s.newUpload(t, "image/png", 5)
	if got := s.upload(t, link, header, "first"); got != http.StatusOK {
		t.Fatalf("PUT answers %d, want 200", got)
	}
	if got := s.upload(t, link, header, "again"); got != http.StatusPreconditionFailed {
		t.Errorf("a second PUT answers %d, want 412", got)
	}
	other, header, err := s.Uploader.PutLink(t.Context(), key, 7, linkTTL)
	if err != nil {
		t.Fatal(err)
	}
	if got := s.upload(t, other, header, "another"); got != http.StatusPreconditionFailed {
		t.Errorf("a PUT with another link answers %d, want 412", got)
	}
	s.wantBody(t, key, "first")
}

func (s Subject) testConcurrentUploads(t *testing.T) {
	key, link, header := s.newUpload(t, "image/png", 1<<16)
	var kept atomic.Int32
	var wg sync.WaitGroup
	for _, letter := range strings.Split("abcdefgh", "") {
		wg.Go(func() {
			switch got := s.upload(t, link, header, strings.Repeat(letter, 1<<16)); got {
			case http.StatusOK:
				kept.Add(1)
			case http.StatusPreconditionFailed, http.StatusConflict: // S3 sends either
			default:
				t.Errorf("PUT answers %d", got)
			}
		})
	}
	wg.Wait()
	_, body := s.follow(t, s.link(t, key, media.LinkOptions{}), nil)
	if kept.Load() != 1 || len(body) != 1<<16 || strings.Trim(body, body[:1]) != "" {
		t.Errorf("%d uploads were stored, with %d bytes", kept.Load(), len(body))
	}
}

func (s Subject) testVerbs(t *testing.T) {
	if s.Advance == nil {
		t.Skip("this bucket accepts every link")
	}
	key, link, header := s.newUpload(t, "image/png", 5)
	if got := s.upload(t, s.link(t, key, media.LinkOptions{}), header, "bytes"); got != http.StatusForbidden {
		t.Errorf("PUT with a link for reading answers %d, want 403", got)
	}
	if got := s.upload(t, link, header, "bytes"); got != http.StatusOK {
		t.Errorf("PUT answers %d, want 200", got)
	}
	if resp, _ := s.follow(t, link, nil); resp.StatusCode != http.StatusForbidden {
		t.Errorf("GET with a link for uploading answers %d, want 403", resp.StatusCode)
	}
}

func (s Subject) testOtherFile(t *testing.T) {
	if s.Advance == nil {
		t.Skip("this bucket accepts every link")
	}
	key, link, header := s.newUpload(t, "image/png", 5)
	refused := func(body string, change ...string) {
		t.Helper()
		if got := s.upload(t, link, header, body, change...); got != http.StatusForbidden {
			t.Errorf("%d bytes with %q: %d, want 403", len(body), change, got)
		}
	}
	refused("longer")
	refused("less")
	refused("")
	refused(strings.Repeat("x", 1<<20))
	refused("bytes", "Content-Type", "image/jpeg")
	refused("bytes", "Content-Type", "text/html")
	refused("bytes", "Content-Type", "")
	refused("bytes", "If-None-Match", "")
	refused("bytes", "If-None-Match", `"etag"`)
	s.wantGone(t, key)
	if got := s.upload(t, link, header, "bytes"); got != http.StatusOK {
		t.Errorf("then the announced file: %d, want 200", got)
	}
}

func (s Subject) testForgedUpload(t *testing.T) {
	if s.Advance == nil {
		t.Skip("this bucket accepts every link")
	}
	key, link, header := s.newUpload(t, "image/png", 5)
	other, _, _ := s.newUpload(t, "image/png", 5)
	refused := func(link, body string) {
		t.Helper()
		if got := s.upload(t, link, header, body); got != http.StatusForbidden {
			t.Errorf("PUT %s: %d, want 403", link, got)
		}
	}
	refused(strings.Replace(link, media.File(key), media.File(other), 1), "bytes")
	refused(link[:strings.Index(link, "?")], "bytes")
	u, err := url.Parse(link)
	if err != nil {
		t.Fatal(err)
	}
	for name, values := range u.Query() {
		for _, value := range []string{"", "7", values[0] + "0", values[0][1:]} {
			query := u.Query()
			query.Set(name, value)
			changed := *u
			changed.RawQuery = query.Encode()
			refused(changed.String(), "bytes")
			refused(changed.String(), "sevenby")
		}
	}
	s.wantGone(t, key)
	s.wantGone(t, other)
}

func (s Subject) testUploadExpiry(t *testing.T) {
	if s.Advance == nil {
		t.Skip("this bucket accepts every link")
	}
	key, link, header := s.newUpload(t, "image/png", 5)
	early, inTime, headerToo := s.newUpload(t, "image/png", 5)
	s.Advance(linkTTL - time.Second)
	if got := s.upload(t, inTime, headerToo, "bytes"); got != http.StatusOK {
		t.Errorf("one second before its expiry a link answers %d", got)
	}
	s.Advance(2 * time.Second)
	if got := s.upload(t, link, header, "bytes"); got != http.StatusForbidden {
		t.Errorf("one second after its expiry a link answers %d, want 403", got)
	}
	s.wantGone(t, key)
	s.wantBody(t, early, "bytes")
}
