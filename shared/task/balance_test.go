package task_test

import (
	"reflect"
	"testing"
	"time"

	"github.com/preset/nanobanana-functions/shared/task"
)

// Next reports each change of the level once. Credits are low below 100; the cheapest
// picture costs 4.
func TestBalanceNext(t *testing.T) {
	const fine, low, empty = task.LevelFine, task.LevelLow, task.LevelEmpty
	for name, test := range map[string]struct {
		was     task.Level
		credits float64
		is      task.Level
		news    task.News
	}{
		"at first, plenty":                    {"", 1000, fine, ""},
		"at first, little":                    {"", 99.5, low, task.NewsCreditsLow},
		"at first, nothing":                   {"", 0, empty, task.NewsCreditsEmpty},
		"still fine":                          {fine, 100, fine, ""},
		"low now":                             {fine, 99.9, low, task.NewsCreditsLow},
		"empty at once":                       {fine, 3.9, empty, task.NewsCreditsEmpty},
		"below zero":                          {fine, -12, empty, task.NewsCreditsEmpty},
		"still low":                           {low, 4, low, ""},
		"empty now":                           {low, 3.9, empty, task.NewsCreditsEmpty},
		"topped up":                           {low, 100, fine, task.NewsCreditsRestored},
		"still empty":                         {empty, 0, empty, ""},
		"the price of a picture was returned": {empty, 4, empty, ""},
		"a little was added":                  {empty, 99.9, empty, ""},
		"topped up from empty":                {empty, 100, fine, task.NewsCreditsRestored},
		"a level of a newer release":          {"frozen", 1000, fine, ""},
		"a level of a newer release, low":     {"frozen", 50, low, task.NewsCreditsLow},
	} {
		t.Run(name, func(t *testing.T) {
			at := time.Date(2026, 3, 14, 12, 0, 0, 0, time.UTC)
			since := at.Add(-5 * time.Hour)
			was := task.Balance{Credits: 7, AsOf: at.Add(-time.Hour), Level: test.was, Since: since}
			is, news := was.Next(test.credits, at, 100, 4)
			want := task.Balance{Credits: test.credits, AsOf: at, Level: test.was, Since: since}
			if test.news == "" && test.is != test.was {
				want.Level, want.Since = test.is, at
			}
			want.Spend = is.Spend // see TestSpend
			if !reflect.DeepEqual(is, want) || news != test.news {
				t.Errorf("%+v, news %q; want %+v, %q", is, news, want, test.news)
			}
			if news == "" {
				return
			}
			want.Level, want.Since = test.is, at
			if delivered := is.Delivered(news); !reflect.DeepEqual(delivered, want) {
				t.Errorf("delivered: %+v, want %+v", delivered, want)
			}
			// News that may not have arrived comes again, with the same id.
			again, repeated := is.Undelivered().Next(test.credits+0.05, at.Add(time.Hour), 100, 4)
			if repeated != news || again.NewsID(repeated) != is.NewsID(news) || is.NewsID(news) == want.NewsID(news) {
				t.Errorf("again: %+v, news %q with id %q, which was %q", again, repeated, again.NewsID(repeated), is.NewsID(news))
			}
		})
	}
}

// If the low limit is less than the price of the cheapest picture, the level is never
// low, and credits that do not pay for a picture are empty.
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
		if news != "" {
			b = b.Delivered(news)
		}
	}
}

// While it is unsure whether the last news arrived, the current level is news. After
// its delivery, only changes are.
func TestBalanceUnsure(t *testing.T) {
	at := time.Date(2026, 3, 14, 12, 0, 0, 0, time.UTC)
	for name, test := range map[string]struct {
		was     task.Level
		credits float64
		is      task.Level
		news    task.News
	}{
		"low, perhaps, and topped up":      {task.LevelFine, 100, task.LevelFine, task.NewsCreditsRestored},
		"low at first, and topped up":      {"", 100, task.LevelFine, task.NewsCreditsRestored},
		"restored, perhaps, and low again": {task.LevelLow, 50, task.LevelLow, task.NewsCreditsLow},
		"restored, perhaps, and empty":     {task.LevelEmpty, 50, task.LevelEmpty, task.NewsCreditsEmpty},
		"low, perhaps, and empty by now":   {task.LevelFine, 0, task.LevelEmpty, task.NewsCreditsEmpty},
	} {
		t.Run(name, func(t *testing.T) {
			was := task.Balance{AsOf: at, Level: test.was, Since: at, Unsure: true}
			is, news := was.Next(test.credits, at.Add(time.Hour), 100, 4)
			if news != test.news || !is.Unsure || is.Level != test.was || !is.Since.Equal(at) {
				t.Errorf("%+v, news %q", is, news)
			}
			delivered := is.Delivered(news)
			if delivered.Level != test.is || delivered.Unsure || !delivered.Since.Equal(is.AsOf) {
				t.Errorf("delivered: %+v", delivered)
			}
			if next, news := delivered.Next(test.credits, at.Add(2*time.Hour), 100, 4); news != "" {
				t.Errorf("%+v, news again: %q", next, news)
			}
		})
	}
}

// The id is made of the news and of the time of the last delivered news.
func TestNewsID(t *testing.T) {
	since := time.Date(2026, 3, 14, 12, 0, 0, 7e6+999, time.UTC) // the id has milliseconds
	for want, b := range map[string]task.Balance{
		"credits-low-1773489600007": {Since: since, AsOf: since.Add(time.Hour)},
		"credits-low-0":             {AsOf: since},
	} {
		if got := b.NewsID(task.NewsCreditsLow); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}
