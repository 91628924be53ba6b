package dir_test

import (
	"crypto/sha256"
	"errors"
	"io"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"testing/iotest"
	"time"

	"github.com/preset/nanobanana-functions/shared/media"
	"github.com/preset/nanobanana-functions/shared/media/dir"
	"github.com/preset/nanobanana-functions/shared/media/mediatest"
)

// serveDir opens a Bucket in folder and serves it.
func serveDir(t *testing.T, folder string) *dir.Bucket {
	t.Helper()
	var server *httptest.Server
	bucket, err := dir.Open(folder, func() string { return server.URL }, []byte("a key of more than 24 bytes"))
	if err != nil {
		t.Fatal(err)
	}
	server = httptest.NewServer(bucket)
	t.Cleanup(func() {
		server.Close()
		bucket.Close()
	})
	return bucket
}

func TestDirBucket(t *testing.T) {
	folder := t.TempDir()
	bucket := serveDir(t, folder)
	var later atomic.Int64
	bucket.Now = func() time.Time { return time.Unix(1_800_000_000+later.Load(), 0) }
	subject := mediatest.Subject{
		Bucket:   bucket,
		Linker:   bucket,
		Uploader: bucket,
		Client:   &http.Client{Timeout: time.Minute},
		Advance:  func(d time.Duration) { later.Add(int64(d / time.Second)) },
	}
	mediatest.TestBucket(t, subject)
	mediatest.TestUploads(t, subject)
	filepath.WalkDir(folder, func(path string, e fs.DirEntry, err error) error {
		if err != nil || !e.IsDir() && media.ContentType(path) == "" {
			t.Errorf("left behind: %s (%v)", path, err)
		}
		return nil
	})
}

func TestDirBucketKeys(t *testing.T) {
	folder := t.TempDir()
	bucket := serveDir(t, filepath.Join(folder, "bucket"))
	sum := sha256.Sum256([]byte("x"))
	for _, key := range []string{
		"", ".", "/", "x.png", "/tasks/x.png", "../x.png", "tasks/../../x.png", "tasks/./x.png", "tasks//x.png",
		"tasks/x", "tasks/x.svg", "tasks/x.html", "tasks/x.jpeg", "tasks/.png", "tasks/x.png/", "tasks/a.b/x.png",
		"tasks/x\x00.png", "tasks/x\n.png", `tasks\x.png`, "tasks/ü.png", "tasks/%2e%2e/x.png",
		strings.Repeat("a/", 9) + "x.png", strings.Repeat("a", 65) + "/x.png",
	} {
		if err := bucket.Put(t.Context(), key, strings.NewReader("x"), 1, "image/png", sum); err == nil {
			t.Errorf("Put(%q) succeeds", key)
		}
		if _, err := bucket.Link(t.Context(), key, time.Minute, media.LinkOptions{}); err == nil {
			t.Errorf("Link(%q) succeeds", key)
		}
		if _, _, err := bucket.PutLink(t.Context(), key, 1, time.Minute); err == nil {
			t.Errorf("PutLink(%q) succeeds", key)
		}
	}
	if err := bucket.Put(t.Context(), "tasks/x.png", strings.NewReader("x"), 1, "image/jpeg", sum); err == nil {
		t.Error("Put of a JPEG as .png succeeds")
	}
	for _, prefix := range []string{"", "/", ".", "../", "tasks/../", "tasks"} {
		if err := bucket.Erase(t.Context(), prefix); err == nil {
			t.Errorf("Erase(%q) succeeds", prefix)
		}
		if err := bucket.Expire(t.Context(), prefix, 0); err == nil {
			t.Errorf("Expire(%q) succeeds", prefix)
		}
	}
	if entries, _ := os.ReadDir(folder); len(entries) != 1 {
		t.Errorf("written outside the bucket: %v", entries)
	}
}

func TestDirBucketSurvivesReopening(t *testing.T) {
	folder := t.TempDir()
	key := media.Key("t", 1, sha256.Sum256([]byte("x")), "png")
	first := serveDir(t, folder)
	if err := first.Put(t.Context(), key, strings.NewReader("x"), 1, "image/png", sha256.Sum256([]byte("x"))); err != nil {
		t.Fatal(err)
	}
	link, err := serveDir(t, folder).Link(t.Context(), key, time.Minute, media.LinkOptions{})
	if err != nil {
		t.Fatal(err)
	}
	resp, err := (&http.Client{Timeout: time.Minute}).Get(link)
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	for header, want := range map[string]string{
		"Access-Control-Allow-Origin": "*",
		"X-Content-Type-Options":      "nosniff",
		"Cache-Control":               "private, max-age=31536000, immutable",
	} {
		if got := resp.Header.Get(header); resp.StatusCode != http.StatusOK || got != want {
			t.Errorf("%d, %s: %q, want %q", resp.StatusCode, header, got, want)
		}
	}
}

// Put returns the error of a picture that cannot be read, not ErrDigest, and leaves the
// object under its key unchanged.
func TestDirBucketPutFails(t *testing.T) {
	folder := t.TempDir()
	bucket := serveDir(t, folder)
	sum := sha256.Sum256([]byte("x"))
	key := media.Key("t", 1, sum, "png")
	if err := bucket.Put(t.Context(), key, strings.NewReader("x"), 1, "image/png", sum); err != nil {
		t.Fatal(err)
	}
	broken := errors.New("broken")
	for name, body := range map[string]io.ReadSeeker{
		"reading fails": struct {
			io.Reader
			io.Seeker
		}{iotest.ErrReader(broken), strings.NewReader("")},
		"seeking fails": unseekable{strings.NewReader("x"), broken},
	} {
		if err := bucket.Put(t.Context(), key, body, 1, "image/png", sum); !errors.Is(err, broken) || errors.Is(err, media.ErrDigest) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if left := files(t, folder); len(left) != 1 {
		t.Errorf("left behind: %q", left)
	}
	if b, err := os.ReadFile(filepath.Join(folder, key)); err != nil || string(b) != "x" {
		t.Errorf("object: %q, %v", b, err)
	}
}

type unseekable struct {
	io.Reader
	err error
}

func (u unseekable) Seek(int64, int) (int64, error) { return 0, u.err }

// While a picture is being written, nothing is visible in the folders of pictures. Open
// deletes the part of a picture that a killed process left behind.
func TestDirBucketPartialFiles(t *testing.T) {
	folder := t.TempDir()
	bucket := serveDir(t, folder)
	sum := sha256.Sum256([]byte("x"))
	key := media.Key("t", 1, sum, "png")
	var left []string
	body := struct {
		io.Reader
		io.Seeker
	}{readerFunc(func([]byte) (int, error) {
		for _, name := range files(t, folder) {
			left = append(left, strings.TrimPrefix(name, folder))
			if err := os.Link(name, filepath.Join(filepath.Dir(name), "LEFT")); err != nil { // as if the process were killed now
				t.Error(err)
			}
		}
		return 0, io.ErrUnexpectedEOF
	}), strings.NewReader("")}
	if err := bucket.Put(t.Context(), key, body, 1, "image/png", sum); err == nil {
		t.Error("Put succeeds")
	}
	if len(left) != 1 || strings.HasPrefix(left[0], "/tasks") {
		t.Errorf("files while writing: %q", left)
	}
	if now := files(t, folder); len(now) != 1 || filepath.Base(now[0]) != "LEFT" {
		t.Fatalf("files after a kill: %q", now)
	}
	serveDir(t, folder)
	if now := files(t, folder); len(now) != 0 {
		t.Errorf("files after opening it again: %q", now)
	}
}

type readerFunc func([]byte) (int, error)

func (f readerFunc) Read(b []byte) (int, error) { return f(b) }

func TestDirBucketRefuses(t *testing.T) {
	if _, err := dir.Open(t.TempDir(), nil, []byte("short")); err == nil {
		t.Error("Open accepts a short key")
	}
	bucket := serveDir(t, t.TempDir())
	link, err := bucket.Link(t.Context(), "tasks/t/1.png", time.Minute, media.LinkOptions{})
	if err != nil {
		t.Fatal(err)
	}
	w := httptest.NewRecorder()
	bucket.ServeHTTP(w, httptest.NewRequest(http.MethodPost, link, strings.NewReader("x")))
	if w.Code != http.StatusMethodNotAllowed {
		t.Errorf("POST with a link for reading: %d, want 405", w.Code)
	}
}
