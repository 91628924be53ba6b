package lifecycle

import "time"

// A copy that fails is tried again at once here; that it is tried again is
// what the tests are about.
func init() { retryWaits = []time.Duration{time.Millisecond, time.Millisecond} }
