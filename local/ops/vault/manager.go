package vault

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	awsmiddleware "github.com/aws/aws-sdk-go-v2/aws/middleware"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/aws/smithy-go"
)

const (
	current = "AWSCURRENT"
	// pending begins the label of a version that is not current yet. Then come the
	// time and something random, so that two changes at once have two labels.
	pending = "nanobanana-pending-"
	// abandoned is the age from which such a version's writer no longer runs.
	abandoned = 10 * time.Minute
	tidyTime  = 10 * time.Second
)

// Manager is the secret in Secrets Manager.
type Manager struct {
	client *secretsmanager.Client
	id     string
	now    func() time.Time
}

// NewManager returns the secret at arn.
func NewManager(c aws.Config, arn string) *Manager {
	return &Manager{client: secretsmanager.NewFromConfig(c), id: arn, now: time.Now}
}

// Read returns the current version.
func (m *Manager) Read(ctx context.Context) (Version, error) {
	got, err := m.client.GetSecretValue(ctx, &secretsmanager.GetSecretValueInput{SecretId: &m.id, VersionStage: aws.String(current)})
	if err != nil {
		return Version{}, fmt.Errorf("the secret cannot be read: %w", err)
	}
	v := Version{ID: aws.ToString(got.VersionId), Created: aws.ToTime(got.CreatedDate), ReadAt: m.now(), Value: []byte(aws.ToString(got.SecretString))}
	if at, ok := awsmiddleware.GetServerTime(got.ResultMetadata); ok && !at.IsZero() {
		v.ReadAt = at
	}
	return v, nil
}

// Swap writes value as a version that nobody reads, and then moves the label of the
// current version to it, from the version that was read and from no other. If the
// process dies in between, the version before stays current; the next Swap takes the
// label off what is left, and Secrets Manager deletes it.
func (m *Manager) Swap(ctx context.Context, was Version, value []byte) error {
	label := pending + strconv.FormatInt(m.now().Unix(), 10) + "-" + rand.Text()
	made, err := m.client.PutSecretValue(ctx, &secretsmanager.PutSecretValueInput{
		SecretId: &m.id, SecretString: aws.String(string(value)), VersionStages: []string{label},
	})
	if err != nil {
		return fmt.Errorf("nothing was changed: the new secret cannot be written: %w", err)
	}
	defer m.tidy(ctx, label, aws.ToString(made.VersionId))
	_, err = m.client.UpdateSecretVersionStage(ctx, &secretsmanager.UpdateSecretVersionStageInput{
		SecretId: &m.id, VersionStage: aws.String(current), MoveToVersionId: made.VersionId, RemoveFromVersionId: &was.ID,
	})
	if err == nil {
		return nil
	}
	// The answer may have been lost; then the SDK's own repetition was refused.
	is, readErr := m.Read(ctx)
	refused, isRefusal := errors.AsType[smithy.APIError](err)
	switch {
	case readErr != nil:
		return fmt.Errorf("it is unknown whether the secret was changed; see with: key list, token list: %w", err)
	case is.ID == aws.ToString(made.VersionId):
		return nil
	case is.ID != was.ID:
		return ErrChanged
	case isRefusal && refused.ErrorFault() == smithy.FaultClient:
		return fmt.Errorf("nothing was changed: the new secret cannot be made the current one: %w", err)
	}
	return fmt.Errorf("the secret was not changed when last seen; see with: key list, token list: %w", err)
}

// tidy takes off the label of this change, and those of changes that died half-way. It
// matters little if that fails: the next change does it.
func (m *Manager) tidy(ctx context.Context, label, version string) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), tidyTime)
	defer cancel()
	labels := map[string]string{label: version}
	if all, err := m.client.DescribeSecret(ctx, &secretsmanager.DescribeSecretInput{SecretId: &m.id}); err == nil {
		for id, stages := range all.VersionIdsToStages {
			for _, stage := range stages {
				if m.leftBehind(stage) {
					labels[stage] = id
				}
			}
		}
	}
	for stage, id := range labels {
		_, _ = m.client.UpdateSecretVersionStage(ctx, &secretsmanager.UpdateSecretVersionStageInput{
			SecretId: &m.id, VersionStage: &stage, RemoveFromVersionId: &id,
		})
	}
}

func (m *Manager) leftBehind(stage string) bool {
	rest, ours := strings.CutPrefix(stage, pending)
	seconds, _, _ := strings.Cut(rest, "-")
	at, err := strconv.ParseInt(seconds, 10, 64)
	return ours && err == nil && m.now().Sub(time.Unix(at, 0)) > abandoned
}
