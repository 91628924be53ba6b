package vault_test

import (
	"context"
	"crypto/rand"
	"errors"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"

	"github.com/preset/nanobanana-functions/local/ops/vault"
	"github.com/preset/nanobanana-functions/local/ops/vault/vaulttest"
	"github.com/preset/nanobanana-functions/shared/aws/env/envtest"
	"github.com/preset/nanobanana-functions/shared/config"
)

const stackSecret = `{"apiKey":"","callbackKeys":[{"id":"1","key":"callback-key-that-nobody-sees","note":[1,2.50]}],
 "newer":{"z":1,"a":[null,1e3]},
 "imageKeys":[{"id":"1","key":"image-key-that-nobody-may-see"}],"notifyKeys":[{"id":"1","key":"notify1key1that1nobody1may1see1x"}]}`

// kept is a secret in the stand-in, and a proxy in front of it.
type kept struct {
	*vault.Manager
	client *secretsmanager.Client // past the proxy
	proxy  *envtest.Proxy
	arn    string
}

func newKept(t *testing.T, value string) *kept {
	t.Helper()
	c := envtest.Config(t)
	k := &kept{client: secretsmanager.NewFromConfig(c), proxy: envtest.NewProxy(t, c)}
	made, err := k.client.CreateSecret(t.Context(), &secretsmanager.CreateSecretInput{Name: aws.String("vault-" + rand.Text()), SecretString: &value})
	if err != nil {
		t.Fatal(err)
	}
	k.arn = *made.ARN
	proxied := c.Copy()
	proxied.BaseEndpoint = &k.proxy.URL
	k.Manager = vault.NewManager(proxied, k.arn)
	return k
}

func TestManager(t *testing.T) {
	vaulttest.TestSecret(t, func(t *testing.T) vault.Secret { return newKept(t, stackSecret) })
}

// checkLabels fails the test unless the current version and the one before have AWS's
// labels, and no version has another.
func (k *kept) checkLabels(t *testing.T) {
	t.Helper()
	all, err := k.client.DescribeSecret(t.Context(), &secretsmanager.DescribeSecretInput{SecretId: &k.arn})
	if err != nil {
		t.Fatal(err)
	}
	count := map[string]int{}
	for _, stages := range all.VersionIdsToStages {
		for _, s := range stages {
			count[s]++
		}
	}
	if count["AWSCURRENT"] != 1 || len(count) > 2 || len(count) == 2 && count["AWSPREVIOUS"] != 1 {
		t.Errorf("labels: %v", all.VersionIdsToStages)
	}
}

// asRead returns the secret as a function reads it.
func (k *kept) asRead(t *testing.T) string {
	t.Helper()
	got, err := k.client.GetSecretValue(t.Context(), &secretsmanager.GetSecretValueInput{SecretId: &k.arn})
	if err != nil {
		t.Fatal(err)
	}
	return *got.SecretString
}

func setAPIKey(key string) func(vault.Version, *vault.Document) error {
	return func(_ vault.Version, d *vault.Document) error { d.SetAPIKey(key); return nil }
}

func TestChangeKeepsWhatItDoesNotKnow(t *testing.T) {
	k := newKept(t, stackSecret)
	if err := vault.Change(t.Context(), k, setAPIKey("a-new-key")); err != nil {
		t.Fatal(err)
	}
	if err := vault.Change(t.Context(), k, func(v vault.Version, d *vault.Document) error {
		_, err := d.Rotate(vault.Callback, v.ReadAt)
		return err
	}); err != nil {
		t.Fatal(err)
	}
	got := k.asRead(t)
	for _, want := range []string{`{"apiKey":"a-new-key","callbackKeys":[{"id":"1","key":"callback-key-that-nobody-sees","note":[1,2.50]},{"id":"2","key":"`, `"newer":{"z":1,"a":[null,1e3]},"imageKeys":`} {
		if !strings.Contains(got, want) {
			t.Errorf("the secret is %s, without %s", got, want)
		}
	}
	k.checkLabels(t)
}

// Two changes at once: the second reads before the first has written. Both are kept.
func TestConcurrentChanges(t *testing.T) {
	k := newKept(t, stackSecret)
	var once sync.Once
	k.proxy.Fail(func(call string) int {
		if call == "UpdateSecretVersionStage" {
			once.Do(func() {
				if err := vault.Change(context.Background(), vault.NewManager(envtest.Config(t), k.arn), setAPIKey("the-other-key")); err != nil {
					t.Error(err)
				}
			})
		}
		return 0
	}, nil)
	tries := 0
	err := vault.Change(t.Context(), k, func(v vault.Version, d *vault.Document) error {
		tries++
		_, err := d.Rotate(vault.Image, v.ReadAt)
		return err
	})
	secret, parseErr := config.ParseSecret([]byte(k.asRead(t)))
	if err != nil || parseErr != nil || tries != 2 || secret.APIKey != "the-other-key" || len(secret.ImageKeys) != 2 {
		t.Errorf("%v, %v after %d tries: %d image keys, key kept: %v", err, parseErr, tries, len(secret.ImageKeys), secret.APIKey == "the-other-key")
	}
	k.checkLabels(t)
}

// Two people rotate one key at the same time: one key is added, and the second is told.
func TestConcurrentRotations(t *testing.T) {
	k := newKept(t, stackSecret)
	var once sync.Once
	rotate := func(v vault.Version, d *vault.Document) error {
		_, err := d.Rotate(vault.Callback, v.ReadAt)
		return err
	}
	k.proxy.Fail(func(call string) int {
		if call == "UpdateSecretVersionStage" {
			once.Do(func() {
				if err := vault.Change(context.Background(), vault.NewManager(envtest.Config(t), k.arn), rotate); err != nil {
					t.Error(err)
				}
			})
		}
		return 0
	}, nil)
	err := vault.Change(t.Context(), k, rotate)
	if secret, parseErr := config.ParseSecret([]byte(k.asRead(t))); err == nil || !strings.Contains(err.Error(), "was added on") || parseErr != nil || len(secret.CallbackKeys) != 2 {
		t.Errorf("%v, %v, %d keys", err, parseErr, len(secret.CallbackKeys))
	}
}

// A change that dies half-way, and answers that get lost.
func TestHalfAChange(t *testing.T) {
	for name, test := range map[string]struct {
		before, after string // the call that fails, before or after it takes effect
		changed       bool
		says          string
	}{
		"the new version is not written":        {before: "PutSecretValue", says: "nothing was changed"},
		"the process ends before the move":      {before: "UpdateSecretVersionStage", says: "not changed when last seen"},
		"the answer to the move is lost":        {after: "UpdateSecretVersionStage", changed: true},
		"the answer to the new version is lost": {after: "PutSecretValue", says: "nothing was changed"},
	} {
		t.Run(name, func(t *testing.T) {
			k := newKept(t, stackSecret)
			fail := func(which string) func(string) int {
				return func(call string) int {
					if call == which {
						return http.StatusInternalServerError
					}
					return 0
				}
			}
			k.proxy.Fail(fail(test.before), fail(test.after))
			err := vault.Change(t.Context(), k, setAPIKey("a-new-key"))
			if (err == nil) != test.changed || err != nil && !strings.Contains(err.Error(), test.says) {
				t.Errorf("got %v", err)
			}
			if changed := strings.Contains(k.asRead(t), "a-new-key"); changed != test.changed {
				t.Errorf("changed: %v", changed)
			}
			k.proxy.Fail(nil, nil)
			if err := vault.Change(t.Context(), k, setAPIKey("a-later-key")); err != nil || !strings.Contains(k.asRead(t), "a-later-key") {
				t.Errorf("the next change: %v", err)
			}
		})
	}
}

// What a process that died left behind loses its label with the next change, so that
// Secrets Manager deletes it. The version of a change that is running does not.
func TestTidy(t *testing.T) {
	k := newKept(t, stackSecret)
	put := func(label string) {
		if _, err := k.client.PutSecretValue(t.Context(), &secretsmanager.PutSecretValueInput{
			SecretId: &k.arn, SecretString: aws.String("{}"), VersionStages: []string{label},
		}); err != nil {
			t.Fatal(err)
		}
	}
	put("nanobanana-pending-1700000000-OLD")
	put("nanobanana-pending-99999999999-NEW")
	put("somebody-elses")
	if err := vault.Change(t.Context(), k, setAPIKey("a-new-key")); err != nil {
		t.Fatal(err)
	}
	all, err := k.client.DescribeSecret(t.Context(), &secretsmanager.DescribeSecretInput{SecretId: &k.arn})
	if err != nil {
		t.Fatal(err)
	}
	var labels []string
	for _, stages := range all.VersionIdsToStages {
		labels = append(labels, stages...)
	}
	slices.Sort(labels)
	if want := []string{"AWSCURRENT", "AWSPREVIOUS", "nanobanana-pending-99999999999-NEW", "somebody-elses"}; !slices.Equal(labels, want) {
		t.Errorf("labels: %v", labels)
	}
}

func TestSecretThatCannotBeRead(t *testing.T) {
	k := newKept(t, stackSecret)
	k.proxy.Fail(func(string) int { return http.StatusForbidden }, nil)
	if err := vault.Change(t.Context(), k, setAPIKey("k")); err == nil || errors.Is(err, vault.ErrChanged) {
		t.Errorf("got %v", err)
	}
}
