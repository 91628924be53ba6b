package nanobananatest

import (
	"slices"
	"time"
)

// Knobs is what the simulated provider does that a test may want otherwise. Its zero value, but
// for the defaults New sets, is a provider that works at once and never fails. Words not listed
// at a field count as its default. It goes to JSON and back, durations as "1.5s".
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
	Delivery        string   `json:"delivery"`             // several URLs as "array" (default), "jsonText", "commaText", "resultUrls"

	// Callbacks.
	LoseCallbacks       bool       `json:"loseCallbacks"`
	RepeatCallbacks     int        `json:"repeatCallbacks"`     // each is sent so many times at once; 0 and 1 are once
	EarlyCallbacks      bool       `json:"earlyCallbacks"`      // the task is done, and called back, before its submit is answered
	ContradictCallbacks bool       `json:"contradictCallbacks"` // after a success is told, a failure is
	CallbackRetries     []Duration `json:"callbackRetries"`     // the waits before each retry, after an answer other than 2xx

	// Pictures.
	PictureSide   int    `json:"pictureSide"`   // longest side in pixels at 1K; 2K is twice, 4K four times as long
	PictureFormat string `json:"pictureFormat"` // "png", "jpg", "webp"; empty: generate-2 draws jpg, the others png
	Mislabel      bool   `json:"mislabel"`      // the name and the Content-Type say JPEG, whatever the bytes are
}

// Fault is what happens to a request in place of its proper answer.
type Fault struct {
	Kind       FaultKind `json:"kind"`
	Code       int       `json:"code,omitempty"`       // FaultStatus, FaultCode; 0 is 500
	Message    string    `json:"message,omitempty"`    // FaultStatus, FaultCode
	RetryAfter Duration  `json:"retryAfter,omitempty"` // FaultStatus, FaultCode; in whole seconds
	Target     string    `json:"target,omitempty"`     // FaultRedirect
	Accepted   bool      `json:"accepted,omitempty"`   // a submit is carried out all the same
	Times      int       `json:"times,omitempty"`      // how many requests it still happens to; 0 is all
}

// FaultKind names a [Fault].
type FaultKind string

// The kinds of faults. Each happens after the request was read.
const (
	NoFault        FaultKind = ""
	FaultStatus    FaultKind = "status"    // Code as HTTP status and in the envelope
	FaultCode      FaultKind = "code"      // Code in the envelope, HTTP status 200
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
)

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

// SetKnobs lets change alter the knobs; it takes effect for what happens next.
func (s *Server) SetKnobs(change func(*Knobs)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	knobs := s.knobs.clone()
	change(&knobs)
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
