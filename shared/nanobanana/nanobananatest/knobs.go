package nanobananatest

import (
	"errors"
	"fmt"
	"slices"
	"time"
)

// Knobs are the behaviour of the simulated provider. With the zero value, apart from New's defaults,
// it works at once and never fails. Knobs can be written as JSON and read back, with durations such
// as "1.5s".
type Knobs struct {
	// Tasks.
	Delay   Duration `json:"delay"`   // from acceptance until a task is done
	Outcome Outcome  `json:"outcome"` // how the next tasks end

	// Money.
	OutOfCredits   bool `json:"outOfCredits"`   // the balance is 0, and the answer to a submit 402
	RefundFailures bool `json:"refundFailures"` // a failed task is refunded, or not charged if it is not charged before its end

	ChargeAt     string   `json:"chargeAt"`     // when a task is charged: "acceptance" (default), "end", or "late": ChargeDelay after its end
	ChargeDelay  Duration `json:"chargeDelay"`  // with ChargeAt "late"
	PriceFactor  float64  `json:"priceFactor"`  // multiplies the published prices; 0 means 1
	DoubleCharge int      `json:"doubleCharge"` // how many of the next tasks are charged twice

	// Answers.
	Submit       Fault `json:"submit"`
	Record       Fault `json:"record"`
	Credit       Fault `json:"credit"`
	Download     Fault `json:"download"`
	ErrorsInBody bool  `json:"errorsInBody"` // refusals have HTTP status 200

	// Records.
	RecordPath      string   `json:"recordPath"`           // the path that exists: "record-info" (default), "record", "both"
	RecordHiddenFor Duration `json:"recordHiddenFor"`      // for so long a new task is 404
	RecordFlag      *int     `json:"recordFlag,omitempty"` // successFlag of every record, whatever the task's state
	RecordFlips     bool     `json:"recordFlips"`          // from its second read on, a success is a failure
	BareFailures    bool     `json:"bareFailures"`         // the record of a failure has neither code nor text
	ParamJSON       string   `json:"paramJson"`            // "full" (default), "noCallback", "absent"
	ShortBy         int      `json:"shortBy"`              // records and callbacks have so many pictures fewer than asked for
	Delivery        string   `json:"delivery"`             // how several URLs are given: "array" (default), "jsonText", "commaText", or by a list's name, such as "images"
	TextNumbers     bool     `json:"textNumbers"`          // numbers in records, callbacks and the balance are texts

	// Reshape changes every record, and ReshapeCallback every callback, envelope included. [Shapes]
	// has some.
	Reshape         Shape `json:"-"`
	ReshapeCallback Shape `json:"-"`

	// Callbacks.
	LoseCallbacks       bool       `json:"loseCallbacks"`
	RepeatCallbacks     int        `json:"repeatCallbacks"`     // how often each is sent at the same time; 0 means once
	CallbackDelay       Duration   `json:"callbackDelay"`       // from the end of a task until its callback
	EarlyCallbacks      bool       `json:"earlyCallbacks"`      // the task is done and the callback sent before the answer to its submit
	ContradictCallbacks bool       `json:"contradictCallbacks"` // after the callback of a success, one of a failure follows
	ForgeCallbacks      bool       `json:"forgeCallbacks"`      // when a task is accepted, three forged callbacks are sent
	CallbackRetries     []Duration `json:"callbackRetries"`     // the wait before each retry after an answer other than 2xx

	// Pictures. These count at acceptance, so that a URL always shows the same picture.
	PictureSide   int    `json:"pictureSide"`   // longest side in pixels at 1K; twice as long at 2K, four times at 4K; at most 4096
	PictureFormat string `json:"pictureFormat"` // "png", "jpg", "webp"; empty: the request's outputFormat, else jpg from generate-2 and png from the others
	Mislabel      bool   `json:"mislabel"`      // the name and the Content-Type are JPEG's, whatever the bytes are
	Manifest      bool   `json:"manifest"`      // the file carries a C2PA manifest, which nobody can verify

	Sending Sending `json:"sending"` // how pictures are sent
}

// Sending is how a picture is sent. The zero value sends it unchanged, with status 200.
type Sending struct {
	Status   int                 `json:"status,omitempty"`   // 206 adds a Content-Range of the whole picture
	Gzip     bool                `json:"gzip,omitempty"`     // compressed, whether asked for or not
	Encoding string              `json:"encoding,omitempty"` // the Content-Encoding header; empty: the true one
	Change   func([]byte) []byte `json:"-"`                  // changes the bytes, such as [NoEnd]
}

// Fault replaces the proper answer to a request.
type Fault struct {
	Kind       FaultKind `json:"kind"`
	Code       int       `json:"code,omitempty"`       // FaultStatus, FaultCode, FaultRaw; 0 is 500
	Message    string    `json:"message,omitempty"`    // FaultStatus, FaultCode; FaultRaw: the whole body
	Type       string    `json:"type,omitempty"`       // FaultRaw: the Content-Type
	RetryAfter Duration  `json:"retryAfter,omitempty"` // FaultStatus, FaultCode, FaultRaw; in whole seconds
	Target     string    `json:"target,omitempty"`     // FaultRedirect
	Accepted   bool      `json:"accepted,omitempty"`   // the submit is carried out anyway
	Times      int       `json:"times,omitempty"`      // how many requests it still affects; 0 means all
}

// FaultKind is the kind of a [Fault].
type FaultKind string

// The kinds of faults. Each happens after the request was read.
const (
	NoFault        FaultKind = ""
	FaultStatus    FaultKind = "status"    // Code as HTTP status, 200 to 599, and in the envelope
	FaultCode      FaultKind = "code"      // Code in the envelope, HTTP status 200
	FaultRaw       FaultKind = "raw"       // Message as the body, without an envelope, as from a gateway in front of the API
	FaultHTML      FaultKind = "html"      // a page, HTTP status 200
	FaultTruncated FaultKind = "truncated" // half of the proper body, as if it were all
	FaultCut       FaultKind = "cut"       // the connection breaks in the middle of the proper body
	FaultEmpty     FaultKind = "empty"     // no body
	FaultNoTaskID  FaultKind = "noTaskId"  // code 200 and no data
	FaultReset     FaultKind = "reset"     // a TCP reset, no answer
	FaultClose     FaultKind = "close"     // an orderly close, no answer
	FaultHang      FaultKind = "hang"      // no answer until the client gives up
	FaultRedirect  FaultKind = "redirect"  // 307 to Target
	FaultSlow      FaultKind = "slow"      // the proper body at a byte a second
	FaultEndless   FaultKind = "endless"   // the proper body and then zeros, until the client gives up
	FaultGzipBomb  FaultKind = "gzipBomb"  // the same, compressed a thousandfold
)

var faultKinds = []FaultKind{
	FaultStatus, FaultCode, FaultRaw, FaultHTML, FaultTruncated, FaultCut, FaultEmpty, FaultNoTaskID, FaultReset, FaultClose, FaultHang,
	FaultRedirect, FaultSlow, FaultEndless, FaultGzipBomb,
}

// Outcome is how the tasks accepted from now on end.
type Outcome struct {
	ErrorCode int    `json:"errorCode,omitempty"` // 400 (policy), 500, 501, ..; 0 is success
	Message   string `json:"message,omitempty"`   // empty: the provider's usual message
	Times     int    `json:"times,omitempty"`     // how many tasks it still affects; 0 means all
}

// Duration is a time.Duration that is text in JSON.
type Duration time.Duration

// MarshalText returns d as time.Duration prints it.
func (d Duration) MarshalText() ([]byte, error) { return []byte(time.Duration(d).String()), nil }

// UnmarshalText accepts what time.ParseDuration accepts.
func (d *Duration) UnmarshalText(text []byte) error {
	parsed, err := time.ParseDuration(string(text))
	*d = Duration(parsed)
	return err
}

// check returns an error for each field with an unlisted value.
func (k Knobs) check() error {
	var wrong []error
	require := func(valid bool, field string, value any) {
		if !valid {
			wrong = append(wrong, fmt.Errorf("knob %s: unknown value %+v", field, value))
		}
	}
	word := func(field, value string, known ...string) {
		require(value == "" || slices.Contains(known, value), field, value)
	}
	word("chargeAt", k.ChargeAt, "acceptance", "end", "late")
	require(k.PriceFactor >= 0, "priceFactor", k.PriceFactor)
	word("recordPath", k.RecordPath, "record-info", "record", "both")
	word("paramJson", k.ParamJSON, "full", "noCallback", "absent")
	word("delivery", k.Delivery, "array", "jsonText", "commaText", "resultUrls", "resultImageUrls", "result_urls", "images")
	word("pictureFormat", k.PictureFormat, "png", "jpg", "webp")
	for field, f := range map[string]Fault{"submit": k.Submit, "record": k.Record, "credit": k.Credit, "download": k.Download} {
		require(f.valid(), field, f)
	}
	require(k.Sending.Status == 0 || k.Sending.Status >= 200 && k.Sending.Status <= 599, "sending.status", k.Sending.Status)
	for field, n := range map[string]int{
		"outcome.times": k.Outcome.Times, "shortBy": k.ShortBy, "repeatCallbacks": k.RepeatCallbacks, "pictureSide": k.PictureSide,
		"doubleCharge": k.DoubleCharge,
	} {
		require(n >= 0, field, n)
	}
	return errors.Join(wrong...)
}

func (f Fault) valid() bool {
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

// Knobs returns the current knobs.
func (s *Server) Knobs() Knobs {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.knobs.clone()
}

// SetKnobs lets change alter the knobs, with effect for what happens next. It panics for a value that a
// knob does not know: such a test would test nothing.
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

// takeFault returns the fault for one request, which pick finds in the knobs, and counts it.
func (s *Server) takeFault(pick func(*Knobs) *Fault) Fault {
	s.mu.Lock()
	defer s.mu.Unlock()
	fault := pick(&s.knobs)
	taken := *fault
	if countDown(&fault.Times) {
		*fault = Fault{}
	}
	return taken
}

// countDown counts a number of times down and reports whether it has reached zero; 0 means no limit.
func countDown(times *int) bool {
	if *times == 0 {
		return false
	}
	*times--
	return *times <= 0
}
