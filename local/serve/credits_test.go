package serve

import (
	"encoding/json"
	"fmt"
	"net/http"
	"testing"

	"github.com/preset/nanobanana-functions/functions/credits"
	"github.com/preset/nanobanana-functions/local/client/clienttest"
)

// The price of a picture shows soon after it is made. The check reads the balance
// as often as the sweep runs; GET /v1/credits does not ask the provider.
func TestCreditsFollow(t *testing.T) {
	r := startHarness(t, fastSweeps)
	balance := func() float64 {
		resp, body := r.request("GET", "/v1/credits", "", "Authorization", "Bearer "+r.Token)
		var c credits.Credits
		if err := json.Unmarshal([]byte(body), &c); err != nil || resp.StatusCode != http.StatusOK {
			t.Fatalf("%d %s", resp.StatusCode, body)
		}
		return c.Balance
	}
	waitForBalance := func(want float64) {
		clienttest.Eventually(t, func() error {
			if got := balance(); got != want {
				return fmt.Errorf("the balance is %v, want %v", got, want)
			}
			return nil
		})
	}
	waitForBalance(1000)
	r.AwaitSuccess(t, r.Submit(t, map[string]any{"prompt": "a lighthouse"}, "k").ID)
	waitForBalance(996)
	clienttest.Eventually(t, func() error {
		kept, err := r.store.Balance(t.Context())
		if err != nil || kept.Credits != 996 {
			return fmt.Errorf("the stored balance is %+v, %v", kept, err)
		}
		return nil
	})
}
