package task

import (
	"testing"
	"time"
)

// Two links with the same bytes are one picture. No other is waited for, since
// each link has been tried, and the second is counted as missing.
func TestTwoLinksWithTheSameBytesAreOnePicture(t *testing.T) {
	all := pictures(3)
	all[1].SHA256 = all[0].SHA256
	h := in(t, Storing, images(3)).after(time.Second)
	equal(t, "whole", h.Complete(all), true)
	h.stored(all...)
	equal(t, "status", h.Status, Succeeded)
	equal(t, "pictures", len(h.Images), 2)
	equal(t, "missing", h.Missing, 1)

	late := in(t, Storing, images(3)).after(72 * time.Hour).wake().stored(all[:2]...)
	equal(t, "pictures after the last wake, one link being dead", len(late.Images), 1)
	equal(t, "missing after the last wake", late.Missing, 2)
}
