package credits

import (
	"context"
	"time"

	"github.com/preset/nanobanana-functions/shared/httpapi"
	"github.com/preset/nanobanana-functions/shared/task"
	"github.com/preset/nanobanana-functions/shared/webhook"
)

// newsTime is what a receiver has for its answer: the function's time is 10 s,
// and the provider and the table want theirs of it. Should it not suffice, the
// balance is not kept, and the next check tells the same once more.
const newsTime = 5 * time.Second

// News is what Preset is told of the credits.
type News struct {
	Type      task.News `json:"type"`
	Timestamp time.Time `json:"timestamp"` // when they were so
	Data      NewsData  `json:"data"`
}

// NewsData is what the check found.
type NewsData struct {
	Balance  float64   `json:"balance"` // the service's, for everybody together
	LowBelow int       `json:"lowBelow"`
	AsOf     time.Time `json:"asOf"`
}

// tell tells the news of a balance, and gives the balance to keep. It fails
// for the log alone: people still look at what the credits are.
func (f Function) tell(ctx context.Context, b task.Balance, news task.News) task.Balance {
	if f.Sender.URL == "" {
		return b.Delivered(news) // by the log, and never again
	}
	if err := f.send(ctx, b, news); err != nil {
		f.Log.Log(ctx, webhook.LogLevel(err), "not told yet; the next check tells it", "news", news, "error", err)
		return b.Undelivered()
	}
	return b.Delivered(news)
}

func (f Function) send(ctx context.Context, b task.Balance, news task.News) error {
	ctx, cancel := context.WithTimeout(ctx, newsTime)
	defer cancel()
	asOf := b.AsOf.UTC()
	body, err := httpapi.Encode(News{
		Type: news, Timestamp: asOf, Data: NewsData{Balance: b.Credits, LowBelow: f.LowBelow, AsOf: asOf},
	})
	if err != nil {
		return err
	}
	return f.Sender.Send(ctx, b.NewsID(news), body)
}
