package taskbolt

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"go.etcd.io/bbolt"

	"github.com/preset/nanobanana-functions/shared/task"
)

var balanceKey = []byte("last")

// balance is a task.Balance as stored.
type balance struct {
	Credits float64    `json:"credits"`
	AsOf    int64      `json:"asOf"` // milliseconds since 1970
	Level   task.Level `json:"level"`
	Since   int64      `json:"since,omitempty"` // milliseconds since 1970; 0: never
	Unsure  bool       `json:"unsure,omitempty"`
	Spend   task.Spend `json:"spend,omitzero"`
}

// SetBalance implements task.Store.
func (s *Store) SetBalance(ctx context.Context, b task.Balance) error {
	row := balance{Credits: b.Credits, AsOf: b.AsOf.UnixMilli(), Level: b.Level, Unsure: b.Unsure, Spend: b.Spend}
	if !b.Since.IsZero() {
		row.Since = b.Since.UnixMilli()
	}
	text, err := json.Marshal(row)
	if err != nil {
		return fmt.Errorf("taskbolt: the balance: %w", err)
	}
	return s.write(ctx, func(tx *bbolt.Tx) error {
		current, err := lastBalance(tx)
		if err != nil || current != nil && current.AsOf >= row.AsOf {
			return err
		}
		return tx.Bucket(bucketBalance).Put(balanceKey, text)
	})
}

// Balance implements task.Store.
func (s *Store) Balance(ctx context.Context) (b task.Balance, err error) {
	err = s.read(ctx, func(tx *bbolt.Tx) error {
		current, err := lastBalance(tx)
		if current != nil {
			b = task.Balance{Credits: current.Credits, AsOf: time.UnixMilli(current.AsOf).UTC(), Level: current.Level, Unsure: current.Unsure, Spend: current.Spend}
			if current.Since != 0 {
				b.Since = time.UnixMilli(current.Since).UTC()
			}
		}
		return err
	})
	return b, err
}

// lastBalance returns the stored balance, nil if there is none.
func lastBalance(tx *bbolt.Tx) (*balance, error) {
	text := tx.Bucket(bucketBalance).Get(balanceKey)
	if text == nil {
		return nil, nil
	}
	var b balance
	if err := json.Unmarshal(text, &b); err != nil {
		return nil, fmt.Errorf("the balance: %w", err)
	}
	return &b, nil
}
