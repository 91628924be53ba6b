package credits

import (
	"context"
	"time"

	"github.com/preset/nanobanana-functions/shared/httpapi"
	"github.com/preset/nanobanana-functions/shared/task"
	"github.com/preset/nanobanana-functions/shared/webhook"
)

// newsTimeout limits the wait for the receiver's answer: the function has 10 s,
// which also have to suffice for the provider and the table. If they do not, the
// balance is not stored, and the next check sends the same news again.
const newsTimeout = 5 * time.Second

// News is the body of a notice about credits.
type News struct {
	Type      task.News `json:"type"`
	Timestamp time.Time `json:"timestamp"` // when the balance was read
	Data      NewsData  `json:"data"`
}

// NewsData is what the check found.
type NewsData struct {
	Balance  float64   `json:"balance"` // of the provider's account, shared by all callers
	LowBelow int       `json:"lowBelow"`
	AsOf     time.Time `json:"asOf"`
}

// notify sends the news of a balance and returns the balance to store. It only
// logs failures: the balance must be stored in any case, since clients read it.
func (f Function) notify(ctx context.Context, b task.Balance, news task.News) task.Balance {
	if f.Sender.URL == "" {
		return b.Delivered(news) // the log has it, once
	}
	if err := f.send(ctx, b, news); err != nil {
		f.Log.Log(ctx, webhook.LogLevel(err), "credits notice not delivered; the next check retries", "news", news, "error", err)
		return b.Undelivered()
	}
	return b.Delivered(news)
}

func (f Function) send(ctx context.Context, b task.Balance, news task.News) error {
	ctx, cancel := context.WithTimeout(ctx, newsTimeout)
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
