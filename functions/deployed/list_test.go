package deployed_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/preset/nanobanana-functions/shared/aws/taskdb"
	"github.com/preset/nanobanana-functions/shared/httpapi"
	"github.com/preset/nanobanana-functions/shared/task"
)

// addFinishedTask stores a task of ada's with all its pictures and returns its
// id.
func (h *harness) addFinishedTask(order task.Request, now time.Time) string {
	h.t.Helper()
	order.Normalize()
	x, rules := task.New(task.Draft{Owner: "ada", Request: order, Estimate: 4, PublicURL: h.url}, now), task.DefaultRules()
	var urls []string
	var images []task.Image
	for n := range order.NumImages {
		urls = append(urls, fmt.Sprintf("https://tempfile.aiquickdraw.com/%s-%d.png", x.ID, n))
		sum := fmt.Sprintf("%016x%048x", now.UnixNano(), n)
		images = append(images, task.Image{
			N: n + 1, File: fmt.Sprintf("%d-%s.png", n+1, sum[:16]), Thumbnail: fmt.Sprintf("%d-%s-512.jpg", n+1, sum[:16]),
			Width: 1344, Height: 768, Bytes: 1_843_201, ContentType: "image/png", SHA256: sum,
		})
	}
	err := x.Accepted(rules, now, 1, "f00dfeedf00dfeedf00dfeedf00dfeed")
	if claim, ok := x.Claim(rules, now); err == nil && ok {
		err = x.ApplyRecord(rules, now, claim, task.Record{State: task.RecordMade, Match: task.MatchOwn, URLs: urls})
	}
	if err == nil {
		err = x.Stored(rules, now, images)
	}
	if err == nil {
		_, err = taskdb.New(h.aws, h.table).Create(h.t.Context(), x, 0)
	}
	if err != nil || !x.Done() {
		h.t.Fatalf("%s: %v", x.Status, err)
	}
	return x.ID
}

// Showing a page of 50 tasks costs a query and a batch read, and with one
// picture each the page is at most 64 KiB, with an address as long as API
// Gateway's.
func TestListOfFifty(t *testing.T) {
	t.Parallel()
	h := newHarness(t, map[string]string{"PUBLIC_URL": "https://a1b2c3d4e5.execute-api.eu-central-1.amazonaws.com"})
	story := strings.Repeat("soft daylight on a chrome stool, ", 160)[:5000]
	tests := map[string]struct {
		order    task.Request
		byIDs    bool
		requests []string
		most     int // bytes; 0: no limit
	}{
		"a picture each":     {task.Request{Prompt: story, NumImages: 1}, false, []string{"Query", "BatchGetItem"}, 64 << 10},
		"four pictures each": {task.Request{Prompt: story, NumImages: 4}, false, []string{"Query", "BatchGetItem"}, 0},
		// The longest prompts are read by ids, because the stand-in counts
		// whole rows towards a query's limit even for an index with keys only.
		"the longest prompts": {task.Request{Prompt: strings.Repeat("🍌", 20_000), Model: "nano-banana-2", NumImages: 1}, true, []string{"BatchGetItem"}, 0},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			order := test.order
			order.AspectRatio, order.Target = "16:9", &task.Target{Kind: "moodboard", ID: strings.ReplaceAll(name, " ", "-")}
			var ids []string
			for i := range 50 {
				ids = append(ids, h.addFinishedTask(order, time.Now().Add(time.Duration(i)*time.Second)))
			}
			query := "target=" + order.Target.String()
			if test.byIDs {
				query = "ids=" + strings.Join(ids, ",")
			}
			h.proxy["tasks"].Take()
			a := h.call("ada", http.MethodGet, "/v1/tasks?"+query, nil)
			h.checkRequests("tasks", test.requests...)
			var page struct{ Tasks []httpapi.Task }
			a.decode(t, http.StatusOK, &page)
			if len(page.Tasks) != 50 || len(page.Tasks[49].Images) != order.NumImages {
				t.Errorf("%d tasks", len(page.Tasks))
			}
			t.Logf("%d bytes", len(a.body))
			if test.most > 0 && len(a.body) > test.most {
				t.Errorf("%d bytes, want at most %d", len(a.body), test.most)
			}
		})
	}
}
