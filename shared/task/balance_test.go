package task_test

import (
	"testing"
	"time"

	"github.com/preset/nanobanana-functions/shared/task"
)

// What is told of the credits, and when it stops being news. They are low
// below 100; the cheapest picture costs 4.
func TestBalanceNext(t *testing.T) {
	const fine, low, empty = task.LevelFine, task.LevelLow, task.LevelEmpty
	for name, test := range map[string]struct {
		was     task.Level
		credits float64
		is      task.Level
		news    task.News
	}{
		"at first, plenty":                 {"", 1000, fine, ""},
		"at first, little":                 {"", 99.5, low, task.NewsCreditsLow},
		"at first, nothing":                {"", 0, empty, task.NewsCreditsEmpty},
		"still fine":                       {fine, 100, fine, ""},
		"low now":                          {fine, 99.9, low, task.NewsCreditsLow},
		"empty at once":                    {fine, 3.9, empty, task.NewsCreditsEmpty},
		"less than nothing":                {fine, -12, empty, task.NewsCreditsEmpty},
		"still low":                        {low, 4, low, ""},
		"empty now":                        {low, 3.9, empty, task.NewsCreditsEmpty},
		"topped up":                        {low, 100, fine, task.NewsCreditsRestored},
		"still empty":                      {empty, 0, empty, ""},
		"a picture's price was given back": {empty, 4, empty, ""},
		"a little was added":               {empty, 99.9, empty, ""},
		"topped up from nothing":           {empty, 100, fine, task.NewsCreditsRestored},
		"a word of a newer release":        {"frozen", 1000, fine, ""},
		"a word of a newer release, low":   {"frozen", 50, low, task.NewsCreditsLow},
	} {
		t.Run(name, func(t *testing.T) {
			at := time.Date(2026, 3, 14, 12, 0, 0, 0, time.UTC)
			was := task.Balance{Credits: 7, AsOf: at.Add(-time.Hour), Level: test.was}
			is, news := was.Next(test.credits, at, 100, 4)
			if want := (task.Balance{Credits: test.credits, AsOf: at, Level: test.is}); is != want || news != test.news {
				t.Errorf("%+v, news %q; want %+v, %q", is, news, want, test.news)
			}
		})
	}
}

// Where low means less than the cheapest picture costs, there is no low, and
// what cannot pay a picture is not fine.
func TestBalanceNextLowBelowCheapest(t *testing.T) {
	var b task.Balance
	for _, step := range []struct {
		credits float64
		news    task.News
	}{{4, ""}, {3.9, task.NewsCreditsEmpty}, {3.95, ""}, {4, task.NewsCreditsRestored}} {
		var news task.News
		if b, news = b.Next(step.credits, time.Time{}, 0, 4); news != step.news {
			t.Errorf("at %v: %q, want %q", step.credits, news, step.news)
		}
	}
}
