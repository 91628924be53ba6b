package task

import "testing"

// A callback may leave out the provider's id. What it says of the attempt
// counts all the same, once nothing else can be read.
func TestAFailureWithoutAnIDCountsWhileTheRecordIsUnreadable(t *testing.T) {
	nameless := Hint{Failure: CodeProviderRejected}

	h := readsFail(in(t, Generating).heard(nameless))
	equal(t, "status by our own id", h.Status, Failed)
	equal(t, "failure by our own id", h.Failure, CodeProviderRejected)
	equal(t, "provider id", h.ProviderID, "p1")

	h = in(t, Unconfirmed).heard(saysID).heard(nameless)
	equal(t, "hint by the id named before", *h.Hint, saysOther)
	h = in(t, Unconfirmed).heard(saysFailure).heard(nameless)
	equal(t, "hint by the id of a failure named before", *h.Hint, saysOther)
}
