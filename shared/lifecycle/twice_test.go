package lifecycle_test

import (
	"testing"

	"github.com/preset/nanobanana-functions/shared/lifecycle"
	"github.com/preset/nanobanana-functions/shared/task"
)

// Two links with the same bytes are one picture. The other counts as missing, and the
// task does not wait for it.
func TestTwoLinksWithTheSameBytes(t *testing.T) {
	h := newHarness(t)
	got, made := h.storing(func(o *lifecycle.Order) { o.Request.NumImages = 2 })
	_, err := task.Update(t.Context(), h.Rows, h.task(got.ID), func(x *task.Task) error {
		x.URLs = []string{made.URLs[0], made.URLs[0] + "?again"}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	h.work(got.ID)
	end := h.expect(got.ID, task.Succeeded, "")
	if len(end.Images) != 1 || end.Images[0].N != 1 || end.Missing != 1 {
		t.Errorf("images %+v, missing %d; want one picture, one missing", end.Images, end.Missing)
	}
	h.stored("tasks/" + got.ID + "/" + end.Images[0].File)
}
