package verify

import (
	"strings"
	"testing"
	"time"

	"github.com/preset/nanobanana-functions/shared/nanobanana/nanobananatest"
)

// If the provider does not behave as guessed, the table says what to change.
func TestVerifyOtherwise(t *testing.T) {
	type knobs = nanobananatest.Knobs
	type env = map[string]string
	for name, test := range map[string]struct {
		adjust          func(*knobs)
		env             env
		what, seen, set string
	}{
		"the guide's record path": {
			func(k *knobs) { k.RecordPath = "record" }, nil,
			"record path", "/nanobanana/record answers", "NANOBANANA_RECORD_PATH=/nanobanana/record",
		},
		"both record paths": {
			func(k *knobs) { k.RecordPath = "both" }, nil,
			"record path", "/nanobanana/record answers the same", setNothing,
		},
		"the guide's path as set": {
			func(k *knobs) { k.RecordPath = "record" }, env{"NANOBANANA_RECORD_PATH": guidePath},
			"record path", "/nanobanana/record-info is unknown", setNothing,
		},
		"no paramJson": {
			func(k *knobs) { k.ParamJSON = "absent" }, nil,
			"paramJson", "absent", setNothing,
		},
		"no callback in paramJson": {
			func(k *knobs) { k.ParamJSON = "noCallback" }, nil,
			"paramJson", "without the callback URL: ", setNothing,
		},
		"a list with another name": {
			func(k *knobs) { k.Delivery = "images" }, nil,
			"several pictures", "2 in data.response.images[].url", setNothing,
		},
		"a list as text": {
			func(k *knobs) { k.Delivery = "jsonText" }, nil,
			"several pictures", "2 in data.response.resultImageUrl (as text)[]", setNothing,
		},
		"a list with commas": {
			func(k *knobs) { k.Delivery = "commaText" }, nil,
			"several pictures", "2 in data.response.resultImageUrl (with commas)", setNothing,
		},
		"fewer pictures than requested": {
			func(k *knobs) { k.ShortBy = 1 }, nil,
			"several pictures", "1 understood", "MaxImages",
		},
		"another host": {
			nil, env{"RESULT_HOSTS": ""},
			"result host", "127.0.0.1:", "RESULT_HOSTS=127.0.0.1:",
		},
		"another price": {
			nil, env{"PRICES": "nano-banana=5"},
			"price: two pictures", "8 credits", "PRICES=nano-banana=4",
		},
		"failures explained only by callbacks": {
			func(k *knobs) { k.BareFailures = true }, nil,
			"policy refusal", `errorCode null "", read as generation_failed; callback: code 400`, setNothing,
		},
		"repeated callbacks": {
			func(k *knobs) { k.RepeatCallbacks = 2 }, env{"POLL_EVERY": "300ms"},
			"called back again", "an edit came 2 times although answered with 200", setNothing,
		},
		"a PNG named .jpg": {
			func(k *knobs) { k.Mislabel = true }, nil,
			"picture", `png 64x48, named ".jpg", served as "image/jpeg"`, setNothing,
		},
		"pictures with a manifest": {
			func(k *knobs) { k.Manifest = true }, nil,
			"picture", `png 64x48, named ".png", served as "image/png", with a C2PA manifest`, setNothing,
		},
		"records that appear late": {
			func(k *knobs) { k.RecordHiddenFor = nanobananatest.Duration(50 * time.Millisecond) }, nil,
			"price: one picture", "4 credits", setNothing,
		},
		"downloads refused": {
			func(k *knobs) { k.Download = nanobananatest.Fault{Kind: nanobananatest.FaultStatus, Code: 403} }, nil,
			"picture", "status 403", "shared/media",
		},
		"a refusal reported as a failure": {
			func(k *knobs) { k.Outcome = nanobananatest.Outcome{ErrorCode: 501} }, nil,
			"policy refusal", "read as generation_failed", "MAX_GENERATIONS=1",
		},
		"numbers as text": {
			func(k *knobs) { k.TextNumbers = true }, nil,
			"all together", "20 credits", setNothing,
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			a := newAccount(t, test.adjust)
			a.verify(t.Context(), t, a.options(t, test.env)).checkRow(test.what, test.seen, test.set)
			if n := a.Posts(); n != 4 && a.Knobs().Outcome.ErrorCode != 501 {
				t.Errorf("%d POSTs, want 4", n)
			}
		})
	}
}

// That a failure gives credits back shows only in a balance read while the task ran.
func TestVerifyRefunds(t *testing.T) {
	t.Parallel()
	a := newAccount(t, func(k *nanobananatest.Knobs) { k.RefundFailures = true })
	posts := 0
	a.onPost = func() {
		if posts++; posts == 4 { // the refusal
			a.SetKnobs(func(k *nanobananatest.Knobs) { k.Delay = nanobananatest.Duration(3 * time.Second) })
		}
	}
	a.verify(t.Context(), t, a.options(t, nil)).checkRow("price: a refusal", "4 credits were taken and given back", "outcome in shared/httpapi/view.go")
}

func TestVerifyCallbacksLost(t *testing.T) {
	a := newAccount(t, func(k *nanobananatest.Knobs) { k.LoseCallbacks, k.BareFailures = true, true })
	o := a.options(t, nil)
	o.pace.CallbackTimeout = 20 * time.Millisecond
	got := a.verify(t.Context(), t, o)
	got.checkRow("callbacks", "0 of 4 tasks; none of one picture, two pictures, an edit, a refusal", "the sweep finds the tasks")
	got.checkRow("callback's shape", "not seen: none came", "-")
	got.checkRow("policy refusal", "no callback was seen", "if the callback says it")
	got.checkRow("time it takes", "one picture seen by a read", setNothing)
}

func TestVerifyWithoutPublicURL(t *testing.T) {
	a := newAccount(t, nil)
	got := a.verify(t.Context(), t, a.options(t, map[string]string{"PUBLIC_URL": ""}))
	if !strings.Contains(got.out, "callbacks are not checked") {
		t.Errorf("it does not say that callbacks are not checked:\n%s", got.out)
	}
	for _, what := range []string{"callbacks", "callback's shape", "who calls back", "called back again"} {
		got.checkRow(what, "not seen: PUBLIC_URL is not set", "-")
	}
	got.checkRow("all together", "20 credits", setNothing)
}

// The table names a field with URLs that the client does not know.
func TestVerifyUnknownDelivery(t *testing.T) {
	a := newAccount(t, func(k *nanobananatest.Knobs) { k.Delivery = "resultUrls" })
	a.rewrite = strings.NewReplacer(`"resultUrls"`, `"pictureLinks"`)
	got := a.verify(t.Context(), t, a.options(t, nil))
	got.checkRow("several pictures", "0 understood; 2 in data.response.pictureLinks[]", "collect.go: add data.response.pictureLinks[]")
	got.checkRow("edit", "not seen", "-")
}
