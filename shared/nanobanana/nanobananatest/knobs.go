package nanobananatest

import (
	"errors"
	"fmt"
	"slices"
	"time"
)

// Knobs is what the simulated provider does that a test may want otherwise. Its zero value, but
// for the defaults New sets, is a provider that works at once and never fails. It goes to JSON and
// back, durations as "1.5s".
type Knobs struct {
	// Tasks.
	Delay   Duration `json:"delay"`   // from acceptance until a task is done
	Outcome Outcome  `json:"outcome"` // how the next tasks end

	// Money.
	OutOfCredits   bool `json:"outOfCredits"`   // the balance reads 0 and a submit is answered 402
	RefundFailures bool `json:"refundFailures"` // a failed task gives its credits back

	// Answers.
	Submit       Fault `json:"submit"`
	Record       Fault `json:"record"`
	Credit       Fault `json:"credit"`
	Download     Fault `json:"download"`
	ErrorsInBody bool  `json:"errorsInBody"` // refusals come with HTTP status 200

	// Records.
	RecordPath      string   `json:"recordPath"`           // which exists: "record-info" (default), "record", "both"
	RecordHiddenFor Duration `json:"recordHiddenFor"`      // a new task is 404 for so long
	RecordFlag      *int     `json:"recordFlag,omitempty"` // successFlag of every record, whatever became of the task
	RecordFlips     bool     `json:"recordFlips"`          // a success is a failure from its second read on
	BareFailures    bool     `json:"bareFailures"`         // the record of a failure gives neither code nor text
	ParamJSON       string   `json:"paramJson"`            // "full" (default), "noCallback", "absent"
	ShortBy         int      `json:"shortBy"`              // so many pictures fewer than asked, in records and callbacks
	Delivery        string   `json:"delivery"`             // several URLs as "array" (default), "jsonText", "commaText", or by a list's name, such as "images"
	TextNumbers     bool     `json:"textNumbers"`          // the numbers of records, callbacks and the balance are texts

	// Reshape makes of every record what is answered in its place, and ReshapeCallback of every
	// callback what is sent: of the whole envelope, which it may change, any JSON value. [Shapes]
	// has some ready.
	Reshape         Shape `json:"-"`
	ReshapeCallback Shape `json:"-"`

	// Callbacks.
	LoseCallbacks       bool       `json:"loseCallbacks"`
	RepeatCallbacks     int        `json:"repeatCallbacks"`     // each is sent so many times at once; 0 and 1 are once
	CallbackDelay       Duration   `json:"callbackDelay"`       // from the end of a task until it is called back
	EarlyCallbacks      bool       `json:"earlyCallbacks"`      // the task is done, and called back, before its submit is answered
	ContradictCallbacks bool       `json:"contradictCallbacks"` // after a success is told, a failure is
	ForgeCallbacks      bool       `json:"forgeCallbacks"`      // as soon as a task is accepted, somebody else calls back, thrice
	CallbackRetries     []Duration `json:"callbackRetries"`     // the waits before each retry, after an answer other than 2xx

	// Pictures, of an order as the knobs are when it is accepted, so that a URL never changes what it shows.
	PictureSide   int    `json:"pictureSide"`   // longest side in pixels at 1K; 2K is twice, 4K four times as long; at most 4096
	PictureFormat string `json:"pictureFormat"` // "png", "jpg", "webp"; empty: the order's outputFormat, else jpg from generate-2 and png from the others
	Mislabel      bool   `json:"mislabel"`      // the name and the Content-Type say JPEG, whatever the bytes are

	Sending Sending `json:"sending"` // how pictures are sent
}

// Sending is how a picture is sent: its zero value as it is, with status 200.
type Sending struct {
	Status   int                 `json:"status,omitempty"`   // 206 with a Content-Range that covers the whole
	Gzip     bool                `json:"gzip,omitempty"`     // packed, asked for or not
	Encoding string              `json:"encoding,omitempty"` // the header of that name; empty: the truth
	Change   func([]byte) []byte `json:"-"`                  // makes other bytes of them, such as [NoEnd]
}

// Fault is what happens to a request in place of its proper answer.
type Fault struct {
	Kind       FaultKind `json:"kind"`
	Code       int       `json:"code,omitempty"`       // FaultStatus, FaultCode, FaultRaw; 0 is 500
	Message    string    `json:"message,omitempty"`    // FaultStatus, FaultCode; FaultRaw: the whole body
	Type       string    `json:"type,omitempty"`       // FaultRaw: the Content-Type
	RetryAfter Duration  `json:"retryAfter,omitempty"` // FaultStatus, FaultCode, FaultRaw; in whole seconds
	Target     string    `json:"target,omitempty"`     // FaultRedirect
	Accepted   bool      `json:"accepted,omitempty"`   // a submit is carried out all the same
	Times      int       `json:"times,omitempty"`      // how many requests it still happens to; 0 is all
}

// FaultKind names a [Fault].
type FaultKind string

// The kinds of faults. Each happens after the request was read.
const (
	NoFault        FaultKind = ""
	FaultStatus    FaultKind = "status"    // Code as HTTP status, 200 to 599, and in the envelope
	FaultCode      FaultKind = "code"      // Code in the envelope, HTTP status 200
	FaultRaw       FaultKind = "raw"       // Message as the body, without an envelope: what stands in front of the API answers
	FaultHTML      FaultKind = "html"      // a page, HTTP status 200
	FaultTruncated FaultKind = "truncated" // half the proper body, as if it were whole
	FaultCut       FaultKind = "cut"       // the connection breaks half way through the proper body
	FaultEmpty     FaultKind = "empty"     // no body
	FaultNoTaskID  FaultKind = "noTaskId"  // code 200 and no data
	FaultReset     FaultKind = "reset"     // a TCP reset, no answer
	FaultClose     FaultKind = "close"     // the connection is closed in order, no answer
	FaultHang      FaultKind = "hang"      // no answer until the client gives up
	FaultRedirect  FaultKind = "redirect"  // 307 to Target
	FaultSlow      FaultKind = "slow"      // the proper body, a byte a second
	FaultEndless   FaultKind = "endless"   // the proper body and then zeros, until the client gives up
	FaultGzipBomb  FaultKind = "gzipBomb"  // the same, packed a thousandfold
)

var faultKinds = []FaultKind{
	FaultStatus, FaultCode, FaultRaw, FaultHTML, FaultTruncated, FaultCut, FaultEmpty, FaultNoTaskID, FaultReset, FaultClose, FaultHang,
	FaultRedirect, FaultSlow, FaultEndless, FaultGzipBomb,
}

// Outcome is how tasks accepted from now on end.
type Outcome struct {
	ErrorCode int    `json:"errorCode,omitempty"` // 400 (policy), 500, 501, ..; 0 is success
	Message   string `json:"message,omitempty"`   // empty: what the provider usually says
	Times     int    `json:"times,omitempty"`     // how many tasks still; 0 is all
}

// Duration is a time.Duration that is text in JSON.
type Duration time.Duration

// MarshalText gives d as time.Duration prints it.
func (d Duration) MarshalText() ([]byte, error) { return []byte(time.Duration(d).String()), nil }

// UnmarshalText reads what time.ParseDuration reads.
func (d *Duration) UnmarshalText(text []byte) error {
	parsed, err := time.ParseDuration(string(text))
	*d = Duration(parsed)
	return err
}

// check names the fields that hold what is not listed at them.
func (k Knobs) check() error {
	var wrong []error
	require := func(lawful bool, field string, value any) {
		if !lawful {
			wrong = append(wrong, fmt.Errorf("knob %s: unknown value %+v", field, value))
		}
	}
	word := func(field, value string, known ...string) {
		require(value == "" || slices.Contains(known, value), field, value)
	}
	word("recordPath", k.RecordPath, "record-info", "record", "both")
	word("paramJson", k.ParamJSON, "full", "noCallback", "absent")
	word("delivery", k.Delivery, "array", "jsonText", "commaText", "resultUrls", "resultImageUrls", "result_urls", "images")
	word("pictureFormat", k.PictureFormat, "png", "jpg", "webp")
	for field, f := range map[string]Fault{"submit": k.Submit, "record": k.Record, "credit": k.Credit, "download": k.Download} {
		require(f.lawful(), field, f)
	}
	require(k.Sending.Status == 0 || k.Sending.Status >= 200 && k.Sending.Status <= 599, "sending.status", k.Sending.Status)
	for field, n := range map[string]int{
		"outcome.times": k.Outcome.Times, "shortBy": k.ShortBy, "repeatCallbacks": k.RepeatCallbacks, "pictureSide": k.PictureSide,
	} {
		require(n >= 0, field, n)
	}
	return errors.Join(wrong...)
}

func (f Fault) lawful() bool {
	sendable := f.Kind != FaultStatus && f.Kind != FaultRaw || f.Code == 0 || f.Code >= 200 && f.Code <= 599
	return (f.Kind == NoFault || slices.Contains(faultKinds, f.Kind)) && f.Times >= 0 && sendable
}

func defaults() Knobs {
	second := Duration(time.Second)
	return Knobs{PictureSide: 256, CallbackRetries: []Duration{second, 5 * second, 15 * second}}
}

func (k Knobs) clone() Knobs {
	k.CallbackRetries = slices.Clone(k.CallbackRetries)
	if k.RecordFlag != nil {
		k.RecordFlag = new(*k.RecordFlag)
	}
	return k
}

// Knobs returns the knobs as they are.
func (s *Server) Knobs() Knobs {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.knobs.clone()
}

// SetKnobs lets change alter the knobs; it takes effect for what happens next. A value that a knob
// does not know is a mistake in the test, and panics: it would test nothing.
func (s *Server) SetKnobs(change func(*Knobs)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	knobs := s.knobs.clone()
	change(&knobs)
	if err := knobs.check(); err != nil {
		panic(fmt.Errorf("nanobananatest: %w", err))
	}
	s.knobs = knobs.clone() // change may have kept its argument
}

// take gives the fault that pick finds in the knobs to one request, and counts it.
func (s *Server) take(pick func(*Knobs) *Fault) Fault {
	s.mu.Lock()
	defer s.mu.Unlock()
	fault := pick(&s.knobs)
	taken := *fault
	if spend(&fault.Times) {
		*fault = Fault{}
	}
	return taken
}

// spend counts down a number of times, where there is one, and tells whether it is used up.
func spend(times *int) bool {
	if *times == 0 {
		return false
	}
	*times--
	return *times <= 0
}
