package taskdb

import (
	"context"
	"strconv"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"

	"github.com/preset/nanobanana-functions/shared/task"
)

// timingsID is the row of all timings. Each is an attribute named kind#slot with
// the seconds. With TimingSlots of each kind and few kinds, the row has about 4 KB.
const timingsID = "TIMINGS"

// SetTiming implements task.Store.
func (s *Store) SetTiming(ctx context.Context, x task.Timing) error {
	_, err := s.client.UpdateItem(ctx, &dynamodb.UpdateItemInput{
		TableName: s.table, Key: key(timingsID),
		UpdateExpression:          aws.String("SET #slot = :seconds"),
		ExpressionAttributeNames:  map[string]string{"#slot": x.Kind + "#" + strconv.Itoa(x.Slot)},
		ExpressionAttributeValues: item{":seconds": number(int64(x.Seconds))},
	})
	return translate("write a timing", err)
}

// Timings implements task.Store.
func (s *Store) Timings(ctx context.Context) (map[string][]int, error) {
	row, err := s.read(ctx, timingsID)
	if err != nil {
		return nil, err
	}
	timings := map[string][]int{}
	for name := range row {
		kind, _, found := strings.Cut(name, "#")
		if !found {
			continue // the id
		}
		seconds, err := strconv.Atoi(numberOf(row, name))
		if err != nil {
			return nil, translate("read timings", err)
		}
		timings[kind] = append(timings[kind], seconds)
	}
	return timings, nil
}
