package tasktest_test

import (
	"testing"

	"github.com/preset/nanobanana-functions/shared/task/tasktest"
)

func TestMemory(t *testing.T) {
	tasktest.TestStore(t, func(*testing.T) tasktest.Harness {
		m := tasktest.NewMemory()
		return tasktest.Harness{Store: m, SetAttribute: m.SetAttribute, Attribute: m.Attribute}
	})
}
