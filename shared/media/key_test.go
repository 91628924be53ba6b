package media_test

import (
	"path"
	"strings"
	"testing"
	"time"

	"github.com/preset/nanobanana-functions/shared/media"
)

func TestKeys(t *testing.T) {
	sum := [32]byte{0xab, 0xcd, 0, 1, 2, 3, 4, 5, 6, 7}
	key, thumb := media.Key("0123abc", 12, sum, "webp"), media.ThumbnailKey("0123abc", 12, sum)
	if want := "tasks/0123abc/12-abcd000102030405.webp"; key != want {
		t.Errorf("Key: %s, want %s", key, want)
	}
	if want := "tasks/0123abc/12-abcd000102030405-512.jpg"; thumb != want {
		t.Errorf("ThumbnailKey: %s, want %s", thumb, want)
	}
	input, small := media.InputKeys("0123abc", 12, sum)
	if want := "tasks/0123abc/12-abcd000102030405-input"; input != want+".jpg" || small != want+"-512.jpg" {
		t.Errorf("InputKeys: %s and %s", input, small)
	}
	for _, k := range []string{key, thumb, input, small} {
		if got, ok := media.KeyOfFile("0123abc", media.File(k)); !ok || got != k {
			t.Errorf("KeyOfFile(%s) = %q, %v", media.File(k), got, ok)
		}
	}
	for _, file := range []string{
		"", "1", "1-abcd000102030405", "1-abcd000102030405.gif", "1-ABCD000102030405.png", "1-abcd00010203040.png",
		"1-abcd0001020304056.png", "0-abcd000102030405.png", "01-abcd000102030405.png", "100-abcd000102030405.png",
		"-1-abcd000102030405.png", "1-abcd000102030405-512.png", "1-abcd000102030405-256.jpg", "1-abcd000102030405.png\n",
		"../1-abcd000102030405.png", "1-abcd000102030405.png/..", "1-abcd000102030405-input.png",
		"1-abcd000102030405-512-input.jpg", "1-abcd000102030405-input-input.jpg", "1-abcd000102030405-input-256.jpg", "1-abcd000102030405.jpeg", strings.Repeat("1", 10_000),
	} {
		if key, ok := media.KeyOfFile("t", file); ok {
			t.Errorf("KeyOfFile(%q) = %q", file, key)
		}
	}
}

func TestUploadKeys(t *testing.T) {
	for contentType, ext := range map[string]string{"image/png": ".png", "image/jpeg": ".jpg", "image/webp": ".webp"} {
		id, key, ok := media.NewUpload("ada", contentType, time.Now())
		again, same := media.UploadKey("ada", id)
		if !ok || !same || again != key || media.ContentType(key) != contentType || !strings.HasSuffix(key, "/"+id+ext) || !strings.HasPrefix(key, media.UploadPrefix) {
			t.Errorf("%s: %s, %s, %s", contentType, id, key, again)
		}
		if strings.Contains(key, "ada") {
			t.Errorf("the key names its owner: %s", key)
		}
		if other, _ := media.UploadKey("bob", id); other == key || path.Base(other) != path.Base(key) {
			t.Errorf("bob's key is %s, ada's %s", other, key)
		}
		if next, _, _ := media.NewUpload("ada", contentType, time.Now()); next == id {
			t.Errorf("NewUpload returned %s twice", id)
		}
		for _, bad := range []string{"", id[1:], id + "p", strings.ToUpper(id), id[:25] + "0", "../" + id[3:], id[:25] + "\n"} {
			if key, ok := media.UploadKey("ada", bad); ok {
				t.Errorf("UploadKey(%q) = %s", bad, key)
			}
		}
	}
	for _, contentType := range []string{"", "image/gif", "image/jpg", "IMAGE/PNG", "image/png; charset=x", "image/svg+xml"} {
		if id, key, ok := media.NewUpload("ada", contentType, time.Now()); ok || id != "" || key != "" {
			t.Errorf("NewUpload(%q) = %s, %s", contentType, id, key)
		}
	}
}

// An id shows when it was made, and nobody can make sense of one that is none.
func TestUploadExpired(t *testing.T) {
	made := time.Date(2026, 11, 29, 4, 0, 0, 0, time.UTC)
	id, _, _ := media.NewUpload("ada", "image/png", made)
	for age, want := range map[time.Duration]bool{-time.Hour: false, 0: false, media.UploadTTL: false, media.UploadTTL + time.Second: true, 1e5 * time.Hour: true} {
		if got := media.UploadExpired(id, made.Add(age)); got != want {
			t.Errorf("after %s: %v", age, got)
		}
	}
	for _, bad := range []string{"", "0", strings.Repeat("v", 26), "ABCDEFGH"} {
		if media.UploadExpired(bad, made) {
			t.Errorf("%q has expired", bad)
		}
	}
}
