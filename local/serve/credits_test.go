package serve

import (
	"encoding/json"
	"fmt"
	"net/http"
	"testing"

	"github.com/preset/nanobanana-functions/functions/credits"
	"github.com/preset/nanobanana-functions/local/client/clienttest"
)

// What a picture cost shows soon after, though nobody who looks makes the
// provider be asked: the check does, as often as the sweep.
func TestCreditsFollow(t *testing.T) {
	r := runLocal(t, hurry)
	balance := func() float64 {
		resp, body := r.ask("GET", "/v1/credits", "", "Authorization", "Bearer "+r.Token)
		var c credits.Credits
		if err := json.Unmarshal([]byte(body), &c); err != nil || resp.StatusCode != http.StatusOK {
			t.Fatalf("%d %s", resp.StatusCode, body)
		}
		return c.Balance
	}
	follows := func(want float64) {
		clienttest.Eventually(t, func() error {
			if got := balance(); got != want {
				return fmt.Errorf("the balance is %v, want %v", got, want)
			}
			return nil
		})
	}
	follows(1000)
	r.AwaitSuccess(t, r.Submit(t, map[string]any{"prompt": "a lighthouse"}, "k").ID)
	follows(996)
	clienttest.Eventually(t, func() error {
		kept, err := r.store.Balance(t.Context())
		if err != nil || kept.Credits != 996 {
			return fmt.Errorf("kept is %+v, %v", kept, err)
		}
		return nil
	})
}
