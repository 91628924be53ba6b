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

// finished writes the row of a task of ada's that has all its pictures, and
// gives its id.
func (w *world) finished(order task.Request, now time.Time) string {
	w.t.Helper()
	order.Normalize()
	x, rules := task.New(task.Draft{Owner: "ada", Request: order, Estimate: 4, PublicURL: w.url}, now), task.DefaultRules()
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
		_, err = taskdb.New(w.aws, w.table).Create(w.t.Context(), x, 0)
	}
	if err != nil || !x.Done() {
		w.t.Fatalf("%s: %v", x.Status, err)
	}
	return x.ID
}

// What a page of 50 costs to show: a query and a batch, and, with a picture
// each, 64 KiB, under an address as long as API Gateway gives.
func TestListOfFifty(t *testing.T) {
	t.Parallel()
	w := newWorld(t, map[string]string{"PUBLIC_URL": "https://a1b2c3d4e5.execute-api.eu-central-1.amazonaws.com"})
	story := strings.Repeat("soft daylight on a chrome stool, ", 160)[:5000]
	tests := map[string]struct {
		order task.Request
		byIDs bool
		asked []string
		most  int // bytes; 0: any
	}{
		"a picture each":     {task.Request{Prompt: story, NumImages: 1}, false, []string{"Query", "BatchGetItem"}, 64 << 10},
		"four pictures each": {task.Request{Prompt: story, NumImages: 4}, false, []string{"Query", "BatchGetItem"}, 0},
		// By ids: of an index that has keys alone the stand-in counts whole rows as what a query may read.
		"the longest prompts": {task.Request{Prompt: strings.Repeat("🍌", 20_000), Model: "nano-banana-2", NumImages: 1}, true, []string{"BatchGetItem"}, 0},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			order := test.order
			order.AspectRatio, order.Target = "16:9", &task.Target{Kind: "moodboard", ID: strings.ReplaceAll(name, " ", "-")}
			var ids []string
			for i := range 50 {
				ids = append(ids, w.finished(order, time.Now().Add(time.Duration(i)*time.Second)))
			}
			query := "target=" + order.Target.String()
			if test.byIDs {
				query = "ids=" + strings.Join(ids, ",")
			}
			w.proxy["tasks"].Take()
			a := w.call("ada", http.MethodGet, "/v1/tasks?"+query, nil)
			w.asked("tasks", test.asked...)
			var page struct{ Tasks []httpapi.Task }
			a.into(t, http.StatusOK, &page)
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
