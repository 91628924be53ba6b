package images_test

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/preset/nanobanana-functions/shared/auth/token"
	"github.com/preset/nanobanana-functions/shared/media"
	"github.com/preset/nanobanana-functions/shared/task"
)

// A link leads everyone who has it to the picture, without a read of the store.
func TestLink(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	x := h.picture()
	image := x.Images[0]
	before := h.Rows.Total()
	got := h.get(image.URL)
	if got.Status != http.StatusFound || got.Body != "" {
		t.Fatalf("%d %s", got.Status, got.Body)
	}
	for name, want := range map[string]string{
		"Cache-Control": "public, max-age=600", "Access-Control-Allow-Origin": "*", "Vary": "Origin", "X-Content-Type-Options": "nosniff",
	} {
		if v := got.Header.Get(name); v != want {
			t.Errorf("%s: %q, want %q", name, v, want)
		}
	}
	picture := h.follow(image.URL)
	if sum := fmt.Sprintf("%x", sha256.Sum256([]byte(picture.Body))); picture.Status != 200 || sum != image.SHA256 || int64(len(picture.Body)) != image.Bytes {
		t.Errorf("%d, %d bytes of SHA-256 %s; want %d of %s", picture.Status, len(picture.Body), sum, image.Bytes, image.SHA256)
	}
	if h := picture.Header; h.Get("Content-Type") != "image/png" || h.Get("Content-Disposition") != "" {
		t.Errorf("%v", h)
	}
	small := h.follow(image.ThumbnailURL)
	if small.Status != 200 || small.Header.Get("Content-Type") != "image/jpeg" || !strings.HasPrefix(small.Body, "\xff\xd8\xff") {
		t.Errorf("thumbnail: %d %v", small.Status, small.Header)
	}
	if n := h.Rows.Total() - before; n != 0 {
		t.Errorf("%d calls of the store", n)
	}
}

// The lasting link never expires. The link it redirects to does, but later than
// any cache keeps the redirect.
func TestLinkLife(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	link := h.picture().Images[0].URL
	location := h.get(link).Header.Get("Location")
	h.Clock.Add(15*time.Minute - time.Second)
	if got := h.get(location); got.Status != 200 {
		t.Errorf("after 14:59: %d", got.Status)
	}
	h.Clock.Add(time.Second)
	if got := h.get(location); got.Status != 403 {
		t.Errorf("after 15:00: %d", got.Status)
	}
	h.Clock.Add(10 * 365 * 24 * time.Hour)
	if got := h.follow(link); got.Status != 200 {
		t.Errorf("after ten years: %d", got.Status)
	}
}

func TestHead(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	link := h.picture().Images[0].URL
	got := h.do(http.MethodHead, link)
	if got.Status != http.StatusFound || got.Header.Get("Location") != h.get(link).Header.Get("Location") || got.Header.Get("Cache-Control") != "public, max-age=600" {
		t.Errorf("%d %v", got.Status, got.Header)
	}
	if got := h.do(http.MethodHead, link[:len(link)-1]); got.Status != 404 {
		t.Errorf("a link cut short: %d", got.Status)
	}
	if got := h.do(http.MethodPost, link); got.Status != 405 || got.Header.Get("Allow") != "GET, HEAD" {
		t.Errorf("POST: %d %v", got.Status, got.Header)
	}
}

// With download=1 the picture is saved under a readable name.
func TestDownload(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	x := h.picture()
	name := "preset-" + x.ID[:8] + "-1"
	for link, want := range map[string]string{
		x.Images[0].URL + "?download=1":          "attachment; filename=" + name + ".png",
		x.Images[0].ThumbnailURL + "?download=1": "attachment; filename=" + name + ".jpg",
		x.Images[0].URL + "?download=0":          "",
		x.Images[0].URL + "?":                    "",
	} {
		if got := h.follow(link); got.Status != 200 || got.Header.Get("Content-Disposition") != want {
			t.Errorf("%s: %d, Content-Disposition %q, want %q", link, got.Status, got.Header.Get("Content-Disposition"), want)
		}
	}
	for _, query := range []string{"download=2", "download=", "download=x", "download=true", "download=1&download=1", "name=evil.exe", "download=1&name=evil.exe", "%zz"} {
		if got := h.get(x.Images[0].URL + "?" + query); got.Status != 400 || strings.Contains(got.Body, "evil") {
			t.Errorf("%s: %d %s", query, got.Status, got.Body)
		}
		wrong := strings.Replace(x.Images[0].URL, "/k1.", "/k2.", 1)
		h.get(wrong+"?"+query).Problem(t, 404, task.CodeNotFound) // the token is checked first
	}
}

// The copy of an upload has links like a picture's.
func TestInputLink(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	x := h.Succeeded(t, "ada")
	file := []byte("a picture")
	key, thumbnail := media.InputKeys(x.ID, 2, sha256.Sum256(file))
	for _, key := range []string{key, thumbnail} {
		if err := h.Bucket.Put(t.Context(), key, bytes.NewReader(file), int64(len(file)), "image/jpeg", sha256.Sum256(file)); err != nil {
			t.Fatal(err)
		}
		got := h.follow(h.link(token.Keys{first}, x.ID, media.File(key)) + "?download=1")
		if want := "attachment; filename=preset-" + x.ID[:8] + "-input-2.jpg"; got.Status != 200 || got.Body != string(file) || got.Header.Get("Content-Disposition") != want {
			t.Errorf("%s: %d, %q", key, got.Status, got.Header.Get("Content-Disposition"))
		}
	}
}

// A token is valid for one file of one task, down to the last bit.
func TestForgedToken(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	x, y := h.picture(), h.picture()
	before, signed, file := splitLink(x.Images[0].URL)
	_, thumbnails, thumbnail := splitLink(x.Images[0].ThumbnailURL)
	_, others, otherFile := splitLink(y.Images[0].URL)
	same := h.get(before+"nonsense/"+file).Problem(t, 404, task.CodeNotFound)

	forged := map[string]string{
		"cut":               before + signed[:len(signed)-1] + "/" + file,
		"longer":            before + signed + "A/" + file,
		"padded":            before + signed + "=/" + file,
		"10 kB":             before + strings.Repeat("A", 10<<10) + "/" + file,
		"without its key":   before + signed[3:] + "/" + file,
		"of another key id": before + "k2" + signed[2:] + "/" + file,
		"of another file":   before + thumbnails + "/" + file,
		"for another file":  before + signed + "/" + thumbnail,
		"of another task":   before + others + "/" + otherFile,
		"another task's":    before + others + "/" + file,
		"NUL":               before + "%00/" + file,
		"file in capitals":  before + signed + "/" + strings.ToUpper(file),
		"file cut":          before + signed + "/" + file[1:],
		"file with a slash": before + signed + "/" + file + "%2F",
		"id in capitals":    strings.Replace(x.Images[0].URL, x.ID, strings.ToUpper(x.ID), 1),
		"id with NUL":       strings.Replace(x.Images[0].URL, x.ID, x.ID+"%00", 1),
		"id of 10 kB":       strings.Replace(x.Images[0].URL, x.ID, strings.Repeat("a", 10<<10), 1),
		"a callback's":      before + token.Keys{first}.Sign("callback|"+x.ID+"|1") + "/" + file,
		"no token":          before + file,
		"one part more":     x.Images[0].URL + "/x",
		"a slash more":      x.Images[0].URL + "/",
	}
	for i := range signed {
		for bit := byte(1); bit < 1<<7; bit <<= 1 { // the first that a path can have
			if off := string(signed[i] ^ bit); url.PathEscape(off) == off {
				forged[fmt.Sprint("one bit off at ", i)] = before + signed[:i] + off + signed[i+1:] + "/" + file
				break
			}
		}
	}
	for name, link := range forged {
		t.Run(name, func(t *testing.T) {
			if body := h.get(link).Problem(t, 404, task.CodeNotFound); body != same {
				t.Errorf("%s\nis not\n%s", body, same)
			}
		})
	}
	if len(forged) < 21+46 {
		t.Errorf("only %d", len(forged))
	}
	if got := h.get(before + signed + "/" + file); got.Status != http.StatusFound {
		t.Errorf("the genuine one: %d", got.Status)
	}
}

// A name that no task can have stored is 404 even with a valid token.
func TestTraversal(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	id := h.picture().ID
	const file = "1-0123456789abcdef.png"
	keys := token.Keys{first}
	same := h.get(h.view.PublicURL+"/v1/images/"+id+"/nonsense/"+file).Problem(t, 404, task.CodeNotFound)
	for _, x := range []struct{ id, file string }{
		{"..", file}, {"../..", file}, {id + "/../" + id, file}, {"", file}, {id[1:], file}, {id + "\x00", file}, {strings.ToUpper(id), file},
		{id, "../" + file}, {id, "..\\" + file}, {id, "/etc/passwd"}, {id, ".."}, {id, file + "/.."}, {id, file + "\x00"}, {id, "0-0123456789abcdef.png"},
		{id, "1-0123456789abcdef.svg"}, {id, "1-0123456789abcdef.html"}, {id, "1-0123456789ABCDEF.png"}, {id, file + "?x"}, {id, file + "\n"}, {id, "1-0123456789abcde.png"},
	} {
		t.Run(x.id+" "+x.file, func(t *testing.T) {
			if body := h.get(h.link(keys, x.id, x.file)).Problem(t, 404, task.CodeNotFound); body != same {
				t.Errorf("%s", body)
			}
		})
	}
	// A valid name is linked without a check whether the object exists.
	if got := h.follow(h.link(keys, id, file)); got.Status != 404 {
		t.Errorf("a picture that is not there: %d", got.Status)
	}
}

// While keys roll, links signed with the old key are valid; once it is retired
// they are not.
func TestKeysRoll(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	x := h.picture()
	old := x.Images[0].URL
	_, _, file := splitLink(old)
	fresh := h.link(token.Keys{second}, x.ID, file)
	for _, step := range []struct {
		name       string
		keys       token.Keys
		old, fresh int
	}{
		{"only the first", token.Keys{first}, 302, 404},
		{"the second signs, both verify", token.Keys{second, first}, 302, 302},
		{"the first is retired", token.Keys{second}, 404, 302},
		{"another key under its id", token.Keys{second, {ID: first.ID, Key: "a third one of twenty-four bytes"}}, 404, 302},
	} {
		h.Secret.SetImageKeys(step.keys...)
		h.Clock.Add(5 * time.Minute) // until it is read again
		if o, f := h.get(old).Status, h.get(fresh).Status; o != step.old || f != step.fresh {
			t.Errorf("%s: the old link %d, the fresh one %d; want %d, %d", step.name, o, f, step.old, step.fresh)
		}
	}
}

// Without a secret no link can be verified; a secret that was read before stays
// in use.
func TestSecretUnavailable(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	x := h.picture()
	unavailable := errors.New("nobody is there")
	h.Secret.Set("", unavailable)
	h.Clock.Add(time.Hour)
	if got := h.get(x.Images[0].URL); got.Status != 302 {
		t.Errorf("warm: %d", got.Status)
	}
	cold := newHarness(t)
	cold.Secret.Set("", unavailable)
	for _, path := range []string{strings.TrimPrefix(x.Images[0].URL, h.view.PublicURL), "/v1/images/x/y/z"} {
		if body := cold.get(cold.view.PublicURL+path).Problem(t, 503, task.CodeUnavailable); strings.Contains(body, "nobody") {
			t.Errorf("cold: %s", body)
		}
	}
}

// The log contains no token and no link.
func TestNothingIsLogged(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	x := h.picture()
	h.Logged.Take()
	_, token, file := splitLink(x.Images[0].URL)
	location := h.get(x.Images[0].URL + "?download=1").Header.Get("Location")
	h.get(x.Images[0].URL+"x").Problem(t, 404, task.CodeNotFound)
	h.get(x.Images[0].URL + "?secret=query")
	logged := h.Logged.Take()
	if strings.Count(logged, "\n") != 3 || !strings.Contains(logged, `"status":302`) {
		t.Errorf("logged: %s", logged)
	}
	for _, secret := range []string{token, file, x.ID, location, "signature", string(first.Key), "query="} {
		if strings.Contains(logged, secret) {
			t.Errorf("the log has %q: %s", secret, logged)
		}
	}
}
