package lambdatest

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"sync/atomic"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
)

// streamTries is how often a batch is delivered before it is given up.
const streamTries = 2

// Record is a record of a DynamoDB stream, as its function gets it.
type Record struct {
	EventID      string `json:"eventID"`
	EventName    string `json:"eventName"`
	EventVersion string `json:"eventVersion"`
	EventSource  string `json:"eventSource"`
	AWSRegion    string `json:"awsRegion"`
	SourceARN    string `json:"eventSourceARN"`
	Change       Change `json:"dynamodb"`
}

// Change is a Record's change of a row, with attributes in DynamoDB's JSON.
type Change struct {
	CreatedAt      json.Number                `json:"ApproximateCreationDateTime"`
	Keys           map[string]json.RawMessage `json:"Keys"`
	NewImage       map[string]json.RawMessage `json:"NewImage,omitempty"`
	SequenceNumber string                     `json:"SequenceNumber"`
	SizeBytes      int64                      `json:"SizeBytes"`
	ViewType       string                     `json:"StreamViewType"`
}

// Stream is Lambda's event source of a table. It reads the table's stream from the
// beginning and calls a function with each record that its filter passes: in order,
// one record per batch, at most twice.
type Stream struct {
	client streamClient
	arn    string
	filter map[string]any
	f      *Function

	wake    chan struct{}
	drains  chan chan struct{}
	givenUp atomic.Int64
	stop    context.CancelFunc
	ended   chan error // run's error
}

// NewStream starts to read the stream of arn. The filter is a pattern of an event
// source mapping with exact values only. The stream is read when Wake is called,
// which whoever writes the table does. The caller calls Close when finished.
func NewStream(c aws.Config, arn, filter string, f *Function) (*Stream, error) {
	s := &Stream{client: streamClient{config: c}, arn: arn, f: f, wake: make(chan struct{}, 1), drains: make(chan chan struct{}), ended: make(chan error, 1)}
	if err := json.Unmarshal([]byte(filter), &s.filter); err != nil {
		return nil, fmt.Errorf("lambdatest: the filter: %w", err)
	}
	ctx, stop := context.WithCancel(context.Background())
	s.stop = stop
	go func() { s.ended <- s.run(ctx) }()
	return s, nil
}

// Wake makes the stream read new records.
func (s *Stream) Wake() {
	select {
	case s.wake <- struct{}{}:
	default: // it is woken already
	}
}

// Drain returns when the function has handled all records that are in the stream, or
// when ctx or the stream has ended.
func (s *Stream) Drain(ctx context.Context) {
	drained := make(chan struct{})
	select {
	case s.drains <- drained:
	case <-ctx.Done():
		return
	}
	select {
	case <-drained:
	case <-ctx.Done():
	}
}

// Close stops reading and returns the error that reading ended with. A running
// invocation is left alone.
func (s *Stream) Close() error {
	s.stop()
	if err := <-s.ended; err != nil && !errors.Is(err, context.Canceled) {
		return fmt.Errorf("lambdatest: stream: %w", err)
	}
	return nil
}

// run reads the single shard of a small table's stream.
func (s *Stream) run(ctx context.Context) error {
	var described struct {
		StreamDescription struct{ Shards []struct{ ShardID string } }
	}
	if err := s.client.call(ctx, "DescribeStream", map[string]any{"StreamArn": s.arn}, &described); err != nil {
		return err
	}
	var at struct{ ShardIterator string }
	err := s.client.call(ctx, "GetShardIterator", map[string]any{
		"StreamArn": s.arn, "ShardId": described.StreamDescription.Shards[0].ShardID, "ShardIteratorType": "TRIM_HORIZON",
	}, &at)
	if err != nil {
		return err
	}
	var drained chan struct{} // closed when a page that was read after the request is empty
	for next := at.ShardIterator; ; {
		var page struct {
			NextShardIterator string
			Records           []Record
		}
		if err := s.client.call(ctx, "GetRecords", map[string]any{"ShardIterator": next}, &page); err != nil {
			return err
		}
		for _, r := range page.Records {
			if err := s.deliver(ctx, r); err != nil {
				return err
			}
		}
		if next = page.NextShardIterator; len(page.Records) > 0 {
			continue
		}
		if drained != nil {
			close(drained)
			drained = nil
		}
		select {
		case drained = <-s.drains:
		case <-s.wake:
		case <-ctx.Done():
			return nil
		}
	}
}

// deliver calls the function with a record that passes the filter.
func (s *Stream) deliver(ctx context.Context, r Record) error {
	r.SourceARN = s.arn
	b, err := json.Marshal(r)
	var seen any
	if err == nil {
		err = json.Unmarshal(b, &seen)
	}
	if err != nil || !matches(s.filter, seen) {
		return err
	}
	for range streamTries {
		if _, err := s.f.Invoke(ctx, []byte(`{"Records":[`+string(b)+`]}`)); err == nil || ctx.Err() != nil {
			return nil
		}
	}
	s.givenUp.Add(1)
	return nil
}

// matches reports whether v matches pattern, whose leaves list the allowed values.
func matches(pattern, v any) bool {
	switch pattern := pattern.(type) {
	case map[string]any:
		members, ok := v.(map[string]any)
		for name, inner := range pattern {
			ok = ok && matches(inner, members[name])
		}
		return ok
	case []any:
		return slices.Contains(pattern, v)
	}
	return false
}

// GivenUp returns how many records the function failed both times.
func (s *Stream) GivenUp() int { return int(s.givenUp.Load()) }

// streamClient is the part of a DynamoDB Streams client that a Stream needs.
type streamClient struct{ config aws.Config }

func (c streamClient) call(ctx context.Context, operation string, in, out any) error {
	body, err := json.Marshal(in)
	if err != nil {
		return err
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, aws.ToString(c.config.BaseEndpoint), bytes.NewReader(body))
	if err != nil {
		return err
	}
	r.Header.Set("Content-Type", "application/x-amz-json-1.0")
	r.Header.Set("X-Amz-Target", "DynamoDBStreams_20120810."+operation)
	credentials, err := c.config.Credentials.Retrieve(ctx)
	if err != nil {
		return err
	}
	sum := sha256.Sum256(body)
	if err := v4.NewSigner().SignHTTP(ctx, credentials, r, hex.EncodeToString(sum[:]), "dynamodb", c.config.Region, time.Now()); err != nil {
		return err
	}
	answer, err := c.config.HTTPClient.Do(r)
	if err != nil {
		return err
	}
	defer func() { _ = answer.Body.Close() }()
	said, err := io.ReadAll(answer.Body)
	switch {
	case err != nil:
		return err
	case answer.StatusCode != http.StatusOK:
		return fmt.Errorf("%s: %s: %s", operation, answer.Status, said)
	}
	return json.Unmarshal(said, out)
}
