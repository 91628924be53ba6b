package callback_test

import (
	"errors"
	"fmt"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/preset/nanobanana-functions/shared/auth/token"
	"github.com/preset/nanobanana-functions/shared/httpapi"
	"github.com/preset/nanobanana-functions/shared/httpapi/httpapitest"
	"github.com/preset/nanobanana-functions/shared/lifecycle"
	"github.com/preset/nanobanana-functions/shared/task"
)

// A token is valid for one attempt of one task, down to the last bit. Every
// other one is the same 404, without a request to store or provider.
func TestForgedToken(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	x, y := h.submit(), h.submit()
	made := h.Generated(t, 0)
	genuine := callbackPath(first, x.ID, 1)
	before, signature := genuine[:strings.LastIndexByte(genuine, '/')+1], genuine[strings.LastIndexByte(genuine, '/')+1:]
	attempt := func(text string) string { return "/v1/callbacks/" + x.ID + "/" + text + "/" + signature }
	signed := func(id string) string {
		return "/v1/callbacks/" + url.PathEscape(id) + "/1/" + token.Keys{first}.Sign(lifecycle.CallbackMessage(id, 1))
	}
	forged := map[string]string{
		"nonsense":                before + "nonsense",
		"cut":                     genuine[:len(genuine)-1],
		"longer":                  genuine + "A",
		"padded":                  genuine + "=",
		"10 kB":                   before + strings.Repeat("A", 10<<10),
		"a newline more":          genuine + "%0A",
		"a part more":             genuine + "/x",
		"a slash more":            genuine + "/",
		"no token":                strings.TrimSuffix(before, "/"),
		"without its key":         before + signature[3:],
		"of another key id":       before + "k2" + signature[2:],
		"of another task":         "/v1/callbacks/" + y.ID + "/1/" + signature,
		"of another attempt":      attempt("2"),
		"attempt 01":              attempt("01"),
		"attempt +1":              attempt("+1"),
		"attempt -1":              attempt("-1"),
		"attempt 1 and a space":   attempt("1%20"),
		"attempt 1 and NUL":       attempt("1%00"),
		"attempt 1.0":             attempt("1.0"),
		"attempt 0x1":             attempt("0x1"),
		"attempt in other script": attempt("%EF%BC%91"),
		"attempt of 20 digits":    attempt("99999999999999999999"),
		"a retired key's":         callbackPath(second, x.ID, 1),
		"a key's of that id":      callbackPath(token.Key{ID: first.ID, Key: second.Key}, x.ID, 1),
		"an image link's":         before + token.Keys{first}.Sign(httpapi.ImageMessage(x.ID, "1")),
		"of no id":                signed("QUOTA#ada"),
		"of an id that climbs":    signed("../" + x.ID),
		"of an id in capitals":    signed(strings.ToUpper(x.ID)),
		"of an id cut":            signed(x.ID[1:]),
		"of an id of 10 kB":       signed(strings.Repeat("a", 10<<10)),
		"of an id with NUL":       signed(x.ID + "\x00"),
	}
	for i := range signature {
		for bit := byte(1); bit < 1<<7; bit <<= 1 { // the first that a path can have
			if off := string(signature[i] ^ bit); url.PathEscape(off) == off {
				forged[fmt.Sprint("one bit off at ", i)] = before + signature[:i] + off + signature[i+1:]
				break
			}
		}
	}
	if len(forged) < 31+46 {
		t.Fatalf("only %d", len(forged))
	}
	calls := h.Rows.Total()
	h.Logged.Take()
	same := h.post(before+"another", nil).Problem(t, 404, task.CodeNotFound)
	if logged := h.Logged.Take(); strings.Count(logged, `"event":"callback_refused"`) != 1 || strings.Contains(logged, "another") || strings.Contains(logged, made.ID) {
		t.Errorf("not one line, or one that repeats what came: %s", logged)
	}
	for name, path := range forged {
		t.Run(name, func(t *testing.T) {
			got := h.post(path, strings.NewReader(callbackBody(made.ID, 200, made.URLs...)))
			if body := got.Problem(t, 404, task.CodeNotFound); body != same {
				t.Errorf("%s\nis not\n%s", body, same)
			}
		})
	}
	if n := h.Rows.Total() - calls; n != 0 || h.countReads(0) != 0 {
		t.Errorf("%d calls of the store, %d reads of the record", n, h.countReads(0))
	}
	// A valid token of an unknown task gives the same answer.
	if body := h.post(callbackPath(first, task.NewID("ada", "never"), 1), nil).Problem(t, 404, task.CodeNotFound); body != same {
		t.Errorf("an unknown task: %s", body)
	}
	h.post(genuine, strings.NewReader(callbackBody(made.ID, 200, made.URLs...))).received(t)
}

// While keys roll, callbacks signed with the old key are accepted; once it is
// retired they are not.
func TestKeysRoll(t *testing.T) {
	t.Parallel()
	h := newHarness(t, slowProvider)
	x := h.submit()
	for _, step := range []struct {
		name       string
		keys       token.Keys
		old, fresh int
	}{
		{"the first alone", token.Keys{first}, 200, 404},
		{"the second signs, both verify", token.Keys{second, first}, 200, 200},
		{"the first is retired", token.Keys{second}, 404, 200},
	} {
		h.Secret.SetCallbackKeys(step.keys...)
		h.Clock.Add(5 * time.Minute) // until it is read again
		if o, f := h.post(callbackPath(first, x.ID, 1), nil).Status, h.post(callbackPath(second, x.ID, 1), nil).Status; o != step.old || f != step.fresh {
			t.Errorf("%s: the old token %d, the fresh one %d; want %d, %d", step.name, o, f, step.old, step.fresh)
		}
	}
}

// Without a secret no token can be verified: the answer is 503, so that the
// provider calls again.
func TestSecretUnavailable(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	x := h.submit()
	made := h.Generated(t, 0)
	h.Secret.Set("", errors.New("nobody is there"))
	h.Clock.Add(time.Hour)
	h.post(callbackPath(first, x.ID, 1), strings.NewReader(callbackBody(made.ID, 200, made.URLs...))).received(t) // warm
	cold := newHarness(t)
	cold.Secret.Set("", errors.New("nobody is there"))
	for _, path := range []string{callbackPath(first, x.ID, 1), "/v1/callbacks/x/1/y"} {
		cold.post(path, nil).Problem(t, 503, task.CodeUnavailable)
	}
}

func TestMethods(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	x := h.submit()
	for _, method := range []string{"GET", "HEAD", "PUT", "DELETE"} {
		got := httpapitest.Do(t, httpapitest.NewRequest(t, method, h.url+callbackPath(first, x.ID, 1), nil))
		if got.Status != 405 || got.Header.Get("Allow") != "POST" {
			t.Errorf("%s: %d, Allow %q", method, got.Status, got.Header.Get("Allow"))
		}
	}
	if h.countReads(0) != 0 {
		t.Error("the record was read")
	}
}
