package uploads_test

import (
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/preset/nanobanana-functions/functions/uploads"
	"github.com/preset/nanobanana-functions/shared/httpapi"
	"github.com/preset/nanobanana-functions/shared/httpapi/httpapitest"
	"github.com/preset/nanobanana-functions/shared/lifecycle/lifecycletest"
	"github.com/preset/nanobanana-functions/shared/media"
	"github.com/preset/nanobanana-functions/shared/task"
)

// harness is the function, served over HTTP, with everything behind it.
type harness struct {
	*lifecycletest.Harness
	t        testing.TB
	identity *lifecycletest.Identity
	contract *httpapitest.Contract
}

// perDay is how many uploads an owner may prepare on a day.
const perDay = 20

func newHarness(t testing.TB) *harness {
	t.Helper()
	h := &harness{Harness: lifecycletest.New(t), t: t, contract: httpapitest.Load(t)}
	h.identity = h.Identity(t)
	h.Bucket.Now = h.Clock.Now
	h.Mux.Handle("/v1/uploads", uploads.New(uploads.Function{
		Auth: h.identity.Verifier, Store: h.Rows, Links: h.Bucket, PerDay: perDay, Now: h.Clock.Now, Log: h.Log,
	}))
	return h
}

// post announces a picture as ada, with headers as [httpapitest.NewRequest] takes them.
func (h *harness) post(body string, header ...string) httpapitest.Answer {
	h.t.Helper()
	header = append([]string{"Authorization", "Bearer " + h.identity.Token("ada"), "Content-Type", "application/json"}, header...)
	return h.contract.Do(h.t, httpapitest.NewRequest(h.t, http.MethodPost, h.Settings.PublicURL+"/v1/uploads", strings.NewReader(body), header...))
}

// put uploads a file as the answer says.
func (h *harness) put(u uploads.Upload, file string) int {
	h.t.Helper()
	r := httpapitest.NewRequest(h.t, http.MethodPut, u.UploadURL, strings.NewReader(file))
	for name, value := range u.Headers {
		r.Header.Set(name, value)
	}
	return httpapitest.Do(h.t, r).Status
}

// An announced picture can be uploaded once, until the link expires, and is
// then found by a submit of the same owner.
func TestUpload(t *testing.T) {
	h := newHarness(t)
	for _, contentType := range []string{"image/png", "image/jpeg", "image/webp"} {
		var u uploads.Upload
		h.post(fmt.Sprintf(`{"contentType":%q,"bytes":7}`, contentType)).JSON(t, http.StatusCreated, &u)
		key, ok := media.UploadKey("ada", u.ID)
		if !ok || !task.ValidID(u.ID) || !strings.Contains(u.UploadURL, key) || media.ContentType(key) != contentType {
			t.Errorf("%+v, whose key is %s", u, key)
		}
		if got, ok := task.ParseSource("upload:" + u.ID); !ok || got.UploadID != u.ID {
			t.Errorf("imageUrls does not take %s", u.ID)
		}
		if left := u.ExpiresAt.Sub(h.Clock.Now()); left != 15*time.Minute {
			t.Errorf("it expires in %s", left)
		}
		h.Clock.Add(15*time.Minute - time.Second)
		if got := h.put(u, "picture"); got != http.StatusOK {
			t.Errorf("PUT: %d", got)
		}
		if got := h.put(u, "another"); got != http.StatusPreconditionFailed {
			t.Errorf("a second PUT: %d", got)
		}
		link, err := h.Bucket.Link(t.Context(), key, time.Minute, media.LinkOptions{})
		if err != nil {
			t.Fatal(err)
		}
		if got := httpapitest.Do(t, httpapitest.NewRequest(t, http.MethodGet, link, nil)); got.Status != http.StatusOK || got.Body != "picture" {
			t.Errorf("the bucket has %d %q", got.Status, got.Body)
		}
	}
	var late uploads.Upload
	h.post(`{"contentType":"image/png","bytes":7}`).JSON(t, http.StatusCreated, &late)
	h.Clock.Add(15 * time.Minute)
	if got := h.put(late, "picture"); got != http.StatusForbidden {
		t.Errorf("after its end: %d", got)
	}
	if log := h.Logged.Take(); strings.Contains(log, "signature=") || strings.Contains(log, media.UploadPrefix) {
		t.Errorf("the log has the link: %s", log)
	}
}

func TestLargest(t *testing.T) {
	h := newHarness(t)
	var u uploads.Upload
	h.post(`{"contentType":"image/png","bytes":10485760}`).JSON(t, http.StatusCreated, &u)
	if got := h.put(u, strings.Repeat("x", 10<<20)); got != http.StatusOK {
		t.Errorf("10 MiB: %d", got)
	}
}

func TestRefused(t *testing.T) {
	h := newHarness(t)
	for body, want := range map[string]struct {
		status int
		faults string
	}{
		`{"contentType":"image/png","bytes":10485761}`:     {422, "/bytes out_of_range"},
		`{"contentType":"image/png","bytes":0}`:            {422, "/bytes out_of_range"},
		`{"contentType":"image/png","bytes":-1}`:           {422, "/bytes out_of_range"},
		`{"contentType":"image/png"}`:                      {422, "/bytes required"},
		`{"bytes":7}`:                                      {422, "/contentType not_available"},
		`{}`:                                               {422, "/contentType not_available, /bytes required"},
		`{"contentType":"image/gif","bytes":7}`:            {422, "/contentType not_available"},
		`{"contentType":"image/svg+xml","bytes":7}`:        {422, "/contentType not_available"},
		`{"contentType":"text/html","bytes":7}`:            {422, "/contentType not_available"},
		`{"contentType":"image/png\r\nX: y","bytes":7}`:    {422, "/contentType not_available"},
		`{"contentType":"image/png","bytes":"7"}`:          {422, "/bytes wrong_type"},
		`{"contentType":"image/png","bytes":7.5}`:          {422, "/bytes wrong_type"},
		`{"contentType":"image/png","bytes":1e99}`:         {422, "/bytes wrong_type"},
		`{"contentType":null,"bytes":7}`:                   {400, "/contentType null"},
		`{"contentType":"image/png","bytes":7,"size":7}`:   {400, "/size unknown_field"},
		`{"contentType":"image/png","bytes":7,"bytes":7}`:  {400, "/bytes duplicate_field"},
		`{"contentType":"image/png","bytes":7,"data":"A"}`: {400, "/data unknown_field"},
		`[]`: {400, " wrong_type"},
		``:   {400, " required"},
	} {
		got := h.post(body)
		got.Problem(t, want.status, task.CodeInvalidRequest)
		var p httpapi.Problem
		got.JSON(t, want.status, &p)
		var faults []string
		for _, e := range p.Errors {
			faults = append(faults, e.Pointer+" "+e.Code)
		}
		if joined := strings.Join(faults, ", "); joined != want.faults {
			t.Errorf("%s: %s, want %s", body, joined, want.faults)
		}
	}
	h.post(`{"contentType":"image/png","bytes":7,"x":"`+strings.Repeat("x", 4<<10)+`"}`).Problem(t, http.StatusRequestEntityTooLarge, task.CodeBodyTooLarge)
	h.post(`{"contentType":"image/png","bytes":7}`, "Content-Type", "image/png").Problem(t, http.StatusUnsupportedMediaType, task.CodeUnsupportedMediaType)
	h.post(`{"contentType":"image/png","bytes":7}`, "Authorization", "").Problem(t, http.StatusUnauthorized, task.CodeUnauthorized)
	h.post(`{"contentType":"image/png","bytes":7}`, "Authorization", "Bearer x").Problem(t, http.StatusUnauthorized, task.CodeUnauthorized)
}

// An owner prepares so many uploads on a day; others and the next day are not affected.
// A refused announcement counts as none.
func TestPerDay(t *testing.T) {
	h := newHarness(t)
	const good = `{"contentType":"image/png","bytes":7}`
	h.post(`{"contentType":"image/heic","bytes":7}`)
	for range perDay {
		if got := h.post(good); got.Status != http.StatusCreated {
			t.Fatalf("%d %s", got.Status, got.Body)
		}
	}
	full := h.post(good)
	if full.Status != http.StatusTooManyRequests || !strings.Contains(full.Body, `"code":"quota_exceeded"`) || !strings.Contains(full.Body, "uploads for today") {
		t.Errorf("beyond the limit: %d %s", full.Status, full.Body)
	}
	now := h.Clock.Now().UTC()
	midnight := now.Truncate(24 * time.Hour).Add(24 * time.Hour)
	if got := full.Header.Get("Retry-After"); got != fmt.Sprint(int(midnight.Sub(now).Seconds())) {
		t.Errorf("Retry-After %s at %s", got, now)
	}
	if got := h.post(good, "Authorization", "Bearer "+h.identity.Token("bob")); got.Status != http.StatusCreated {
		t.Errorf("another owner: %d %s", got.Status, got.Body)
	}
	h.Clock.Add(midnight.Sub(now))
	if got := h.post(good); got.Status != http.StatusCreated {
		t.Errorf("after midnight: %d %s", got.Status, got.Body)
	}
}

// An upload that cannot be counted is not prepared.
func TestNotCounted(t *testing.T) {
	h := newHarness(t)
	h.Rows.Fail(func(call string, _ *task.Task) error {
		if call == "countUpload" {
			return task.ErrBusy
		}
		return nil
	}, nil)
	if got := h.post(`{"contentType":"image/png","bytes":7}`); got.Status != http.StatusServiceUnavailable || strings.Contains(got.Body, "uploadUrl") {
		t.Errorf("%d %s", got.Status, got.Body)
	}
}

// A forgotten owner uploads nothing more, as soon as this process has heard of it. If it
// cannot hear of it, uploads pass.
func TestForgottenOwner(t *testing.T) {
	h := newHarness(t)
	const body = `{"contentType":"image/png","bytes":7}`
	status := func(what string, want int) httpapitest.Answer {
		t.Helper()
		got := h.post(body)
		if got.Status != want {
			t.Errorf("%s: %d %s, want %d", what, got.Status, got.Body, want)
		}
		return got
	}
	status("before", 201)
	if err := errors.Join(h.Rows.Forget(t.Context(), "ada", h.Clock.Now()), h.Rows.Forget(t.Context(), "bob", h.Clock.Now())); err != nil {
		t.Fatal(err)
	}
	h.Clock.Add(9 * time.Second)
	status("not heard of yet", 201)
	h.Clock.Add(time.Second)
	if got := status("heard of", 403); !strings.Contains(got.Body, "erased") || !strings.Contains(got.Body, `"forbidden"`) {
		t.Errorf("%s", got.Body)
	}
	h.Rows.Fail(lifecycletest.On("paused", lifecycletest.ErrStore), nil)
	h.Clock.Add(time.Minute)
	status("heard of before the row became unreadable", 403)
	h.Rows.Fail(nil, nil)
	h.Clock.Add(task.ForgottenFor)
	status("90 days later", 201)

	h = newHarness(t)
	h.Rows.Fail(lifecycletest.On("paused", lifecycletest.ErrStore), nil)
	status("nothing can be read", 201)
	if log := h.Logged.Take(); !strings.Contains(log, "could not be read") {
		t.Errorf("the log: %s", log)
	}
}
