package lifecycle

import (
	"slices"
	"testing"

	"github.com/preset/nanobanana-functions/shared/task"
)

// Links to our own API or to an input image are no results, however they are spelled.
func TestWithoutOurs(t *testing.T) {
	s := &Service{PublicURL: "https://api.example/base"}
	ordered := &task.Task{Request: task.Request{ImageURLs: []string{"https://in.example/a%20b.png?sig=1"}}}
	result := "https://cdn.example/base/v1/a.png?sig=1"
	got := s.withoutOurs(ordered, []string{
		"https://api.example/base/v1/tasks/x", "HTTPS://API.example/base/v1/images/x", "http://api.example/base/v1/uploads?x=1",
		"https://in.example/a%20b.png?sig=2", "http://IN.example/a b.png", result,
	})
	if !slices.Equal(got, []string{result}) {
		t.Errorf("kept %q", got)
	}
}

// A callback with code 400 forbids another generation, even if the rest of it is unclear.
func TestUnclearCallbackWithCode400(t *testing.T) {
	s, ordered := &Service{}, &task.Task{}
	for body, want := range map[string]bool{
		`{"code":400,"data":{"taskId":"a","successFlag":9}}`:                                  true,
		`{"code":200,"data":{"taskId":"a","successFlag":9,"errorMessage":"blocked: unsafe"}}`: false,
		`{"code":501,"data":{"taskId":"a","successFlag":9}}`:                                  false,
	} {
		if h := s.hintOf(ordered, []byte(body)); h.Bars != want || h.Failure != "" || h.Success {
			t.Errorf("%s: %+v", body, h)
		}
	}
}
