package taskdb

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"strconv"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"github.com/preset/nanobanana-functions/shared/task"
)

// The names of indexes and attributes, as in template.yaml. A Task's own attributes
// have the names of its JSON.
const (
	indexDue   = "due"
	indexList  = "list"
	indexOwner = "owner"

	attrID        = "id"
	attrVersion   = "version"
	attrDueAt     = "dueAt"
	attrCreatedAt = "createdAt"
	attrDeletedAt = "deletedAt"
	attrWasMade   = "wasMadeAt" // createdAt of a deleted task, which so leaves the index of its owner's tasks

	attrDue        = "due"       // isDue, or absent
	attrList       = "list"      // owner and target, or absent
	attrExpires    = "expiresAt" // seconds since 1970
	attrUsed       = "used"
	attrUntil      = "until"      // milliseconds since 1970
	attrPostsUntil = "postsUntil" // milliseconds since 1970
	attrHolds      = "holds"
	attrForgot     = "forgot" // the salt; with # and the hash of an owner, milliseconds since 1970
	attrCredits    = "credits"
	attrAsOf       = "asOf" // milliseconds since 1970
	attrLevel      = "level"
	attrSince      = "since" // milliseconds since 1970
	attrUnsure     = "unsure"
	attrSpend      = "spend" // task.Spend as text

	isDue = "due" // the index's one partition
)

const (
	countTTL  = 8 * 24 * time.Hour
	failedTTL = 400 * 24 * time.Hour
)

// toItem returns the row of a task: the attributes of its JSON, and those of the
// indexes and the time to live.
func toItem(t *task.Task) (item, error) {
	b, err := json.Marshal(t)
	if err != nil {
		return nil, fmt.Errorf("taskdb: row %s: %w", t.ID, err)
	}
	row, err := attributes(b)
	if err != nil {
		return nil, fmt.Errorf("taskdb: row %s: %w", t.ID, err)
	}
	row[attrCreatedAt] = text(formatTime(t.CreatedAt))
	if t.Deleted() {
		row[attrWasMade] = row[attrCreatedAt]
		delete(row, attrCreatedAt)
	}
	if t.Target != nil {
		row[attrList] = text(listKey(t.Owner, *t.Target))
	}
	if due := t.Due(); !due.IsZero() {
		row[attrDueAt], row[attrDue] = text(formatTime(due)), text(isDue)
	} else if t.Status == task.Failed {
		row[attrExpires] = number(t.EndedAt.Add(failedTTL).Unix())
	}
	return row, nil
}

// attributes converts a JSON object to DynamoDB's attributes.
func attributes(object []byte) (item, error) {
	var members map[string]any
	decoder := json.NewDecoder(bytes.NewReader(object))
	decoder.UseNumber() // DynamoDB takes numbers as text
	if err := decoder.Decode(&members); err != nil {
		return nil, err
	}
	row := make(item, len(members))
	for name, v := range members {
		row[name] = toValue(v)
	}
	return row, nil
}

// fromItem returns the Task of a row. The Task carries unknown attributes along.
func fromItem(row item) (*task.Task, error) {
	members := map[string]any{}
	for name, v := range row {
		switch name {
		case attrDue, attrList, attrExpires: // derived again on each write
			continue
		case attrCreatedAt:
			if row[attrWasMade] != nil { // an older release wrote a time that it did not know
				continue
			}
		case attrWasMade:
			name = attrCreatedAt
		}
		decoded, err := fromValue(v)
		if err != nil {
			return nil, fmt.Errorf("taskdb: row %s: %s: %w", textOf(row, attrID), name, err)
		}
		members[name] = decoded
	}
	b, err := json.Marshal(members)
	var t task.Task
	if err == nil {
		err = json.Unmarshal(b, &t)
	}
	if err != nil {
		return nil, fmt.Errorf("taskdb: row %s: %w", textOf(row, attrID), err)
	}
	return &t, nil
}

// toValue converts a JSON value to DynamoDB's form.
func toValue(v any) types.AttributeValue {
	switch v := v.(type) {
	case string:
		return text(v)
	case json.Number:
		return &types.AttributeValueMemberN{Value: v.String()}
	case bool:
		return &types.AttributeValueMemberBOOL{Value: v}
	case []any:
		list := make([]types.AttributeValue, len(v))
		for i := range v {
			list[i] = toValue(v[i])
		}
		return &types.AttributeValueMemberL{Value: list}
	case map[string]any:
		m := item{}
		for name, member := range v {
			m[name] = toValue(member)
		}
		return &types.AttributeValueMemberM{Value: m}
	}
	return &types.AttributeValueMemberNULL{Value: true}
}

// fromValue reverses toValue. Rows of all releases hold no other kinds.
func fromValue(v types.AttributeValue) (_ any, err error) {
	switch v := v.(type) {
	case *types.AttributeValueMemberS:
		return v.Value, nil
	case *types.AttributeValueMemberN:
		return json.Number(v.Value), nil
	case *types.AttributeValueMemberBOOL:
		return v.Value, nil
	case *types.AttributeValueMemberNULL:
		return nil, nil
	case *types.AttributeValueMemberL:
		list := make([]any, len(v.Value))
		for i := range v.Value {
			if list[i], err = fromValue(v.Value[i]); err != nil {
				return nil, err
			}
		}
		return list, nil
	case *types.AttributeValueMemberM:
		m := map[string]any{}
		for name := range v.Value {
			if m[name], err = fromValue(v.Value[name]); err != nil {
				return nil, err
			}
		}
		return m, nil
	}
	return nil, fmt.Errorf("a %T, which no release writes", v)
}

func key(id string) item                 { return item{attrID: text(id)} }
func text(s string) types.AttributeValue { return &types.AttributeValueMemberS{Value: s} }
func number(n int64) types.AttributeValue {
	return &types.AttributeValueMemberN{Value: strconv.FormatInt(n, 10)}
}
func textOf(row item, name string) string {
	s, _ := row[name].(*types.AttributeValueMemberS)
	if s == nil {
		return ""
	}
	return s.Value
}

// timeLayout makes texts that sort as times do.
const timeLayout = "2006-01-02T15:04:05.000Z"

func formatTime(t time.Time) string { return t.UTC().Format(timeLayout) }

// listKey is different for each owner and target: the length separates two that
// join to the same text.
func listKey(owner string, target task.Target) string {
	return strconv.Itoa(len(owner)) + "|" + owner + "|" + target.String()
}

func quotaID(owner, day string) string   { return "QUOTA#" + day + "#" + owner }
func uploadsID(owner, day string) string { return "UPLOADS#" + day + "#" + owner }

// A cursor holds the createdAt and id that a page ended with, and a checksum that
// ties them to their list. The checksum needs no key: a forged cursor can only
// start elsewhere in the caller's own list.
const sumLength = 8

func cursorSum(list, at, id string) []byte {
	sum := sha256.Sum256(fmt.Appendf(nil, "%q %q %q", list, at, id))
	return sum[:sumLength]
}

func newCursor(list string, last item) string {
	at, id := textOf(last, attrCreatedAt), textOf(last, attrID)
	return base64.RawURLEncoding.EncodeToString(append(cursorSum(list, at, id), at+id...))
}

func readCursor(index, list, cursor string) (item, error) {
	b, err := base64.RawURLEncoding.Strict().DecodeString(cursor)
	at := len(formatTime(time.Time{}))
	if err != nil || len(b) <= sumLength+at {
		return nil, task.ErrCursor
	}
	created, id := string(b[sumLength:sumLength+at]), string(b[sumLength+at:])
	if !bytes.Equal(b[:sumLength], cursorSum(list, created, id)) {
		return nil, task.ErrCursor
	}
	return item{index: text(list), attrCreatedAt: text(created), attrID: text(id)}, nil
}
