package ops

import (
	"context"
	"fmt"
	"iter"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs"
)

// logRights are the actions of IAM that reading the log needs.
var logRights = []string{"logs:FilterLogEvents", "logs:DescribeLogGroups"}

// stackLogs are the lines in a log group of CloudWatch.
type cloudLogs struct {
	client *cloudwatchlogs.Client
	group  string
}

func newStackLogs(c aws.Config, group string) Logs {
	return cloudLogs{client: cloudwatchlogs.NewFromConfig(c), group: group}
}

// Lines implements Logs.
func (x cloudLogs) Lines(ctx context.Context, q LogQuery) iter.Seq2[LogLine, error] {
	in := &cloudwatchlogs.FilterLogEventsInput{LogGroupName: &x.group}
	if !q.Since.IsZero() {
		in.StartTime = aws.Int64(q.Since.UnixMilli())
	}
	if p := q.pattern(); p != "" {
		in.FilterPattern = &p
	}
	return func(yield func(LogLine, error) bool) {
		pages := cloudwatchlogs.NewFilterLogEventsPaginator(x.client, in)
		for pages.HasMorePages() {
			page, err := pages.NextPage(ctx)
			if err != nil {
				yield(LogLine{}, fmt.Errorf("the log %s cannot be read: %w", x.group, err))
				return
			}
			for _, e := range page.Events {
				l, ok := parseLine([]byte(aws.ToString(e.Message)))
				if ok && l.Time.IsZero() {
					l.Time = time.UnixMilli(aws.ToInt64(e.Timestamp)).UTC()
				}
				if ok && q.matches(l) && !yield(l, nil) {
					return
				}
			}
		}
	}
}

// pattern returns the filter of CloudWatch for q.
func (q LogQuery) pattern() string {
	var events []string
	for _, e := range q.Events {
		events = append(events, fmt.Sprintf("($.event = %q)", e))
	}
	var all []string
	if len(events) > 0 {
		all = append(all, "("+strings.Join(events, " || ")+")")
	}
	if q.Task != "" {
		all = append(all, fmt.Sprintf("($.task = %q)", q.Task))
	}
	if len(all) == 0 {
		return ""
	}
	return "{ " + strings.Join(all, " && ") + " }"
}

// Begin implements Logs. The log group says since when there is it, and for how long it
// keeps lines.
func (x cloudLogs) Begin(ctx context.Context) (time.Time, error) {
	got, err := x.client.DescribeLogGroups(ctx, &cloudwatchlogs.DescribeLogGroupsInput{LogGroupNamePrefix: &x.group, Limit: aws.Int32(50)})
	if err != nil {
		return time.Time{}, fmt.Errorf("the log group %s cannot be read: %w", x.group, err)
	}
	for _, g := range got.LogGroups {
		if aws.ToString(g.LogGroupName) != x.group {
			continue
		}
		begin := time.UnixMilli(aws.ToInt64(g.CreationTime)).UTC()
		if days := aws.ToInt32(g.RetentionInDays); days > 0 {
			if kept := time.Now().UTC().AddDate(0, 0, -int(days)); kept.After(begin) {
				begin = kept
			}
		}
		return begin, nil
	}
	return time.Time{}, fmt.Errorf("there is no log group %s", x.group)
}
