package template_test

import (
	"encoding/json"
	"maps"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/preset/nanobanana-functions/shared/aws/taskdb/taskdbtest"
	"github.com/preset/nanobanana-functions/shared/config"
)

// The tests' table equals the template's.
func TestTable(t *testing.T) {
	r := template(t).Resources["Table"]
	var got, want map[string]any
	for from, into := range map[any]*map[string]any{&r: &got, taskdbtest.Table(""): &want} {
		var v any = from
		if from == any(&r) {
			v = r.Properties
		}
		if err := json.Unmarshal([]byte(encode(v)), into); err != nil {
			t.Fatal(err)
		}
	}
	for _, what := range []string{"KeySchema", "BillingMode"} {
		checkJSON(t, "the table's "+what, got[what], encode(want[what]))
	}
	for _, what := range []string{"AttributeDefinitions", "GlobalSecondaryIndexes"} {
		checkJSON(t, "the table's "+what, sorted(got[what]), encode(sorted(want[what])))
	}
	checkJSON(t, "the table's stream", dig(got, "StreamSpecification", "StreamViewType"), encode(dig(want, "StreamSpecification", "StreamViewType")))
	checkJSON(t, "its time to live", got["TimeToLiveSpecification"], `{"AttributeName": "expiresAt", "Enabled": true}`)
	checkJSON(t, "its backups", got["PointInTimeRecoverySpecification"], `{"PointInTimeRecoveryEnabled": true}`)
	checkJSON(t, "its encryption", got["SSESpecification"], `{"SSEEnabled": false}`)
	checkJSON(t, "its protection", got["DeletionProtectionEnabled"], `true`)
	checkRetained(t, "the table", r)
}

// sorted sorts a list of JSON values and removes their nulls.
func sorted(v any) []any {
	entries := slices.Clone(list(v))
	for _, entry := range entries {
		if members, ok := entry.(map[string]any); ok {
			maps.DeleteFunc(members, func(_ string, v any) bool { return v == nil })
			if projection, ok := members["Projection"].(map[string]any); ok {
				maps.DeleteFunc(projection, func(_ string, v any) bool { return v == nil })
			}
		}
	}
	slices.SortFunc(entries, func(a, b any) int { return strings.Compare(encode(a), encode(b)) })
	return entries
}

func checkRetained(t testing.TB, what string, r resource) {
	t.Helper()
	if r.DeletionPolicy != "Retain" || r.UpdateReplacePolicy != "Retain" {
		t.Errorf("%s is deleted with the stack: %q, %q", what, r.DeletionPolicy, r.UpdateReplacePolicy)
	}
}

func TestBucket(t *testing.T) {
	s := template(t)
	r := s.Resources["Bucket"]
	checkRetained(t, "the bucket", r)
	checkJSON(t, "the bucket", r.Properties, `{
		"OwnershipControls": {"Rules": [{"ObjectOwnership": "BucketOwnerEnforced"}]},
		"PublicAccessBlockConfiguration": {"BlockPublicAcls": true, "BlockPublicPolicy": true, "IgnorePublicAcls": true, "RestrictPublicBuckets": true},
		"VersioningConfiguration": {"Fn::If": ["HasVersions", {"Status": {"Fn::If": ["KeepsVersions", "Enabled", "Suspended"]}}, {"Ref": "AWS::NoValue"}]},
		"BucketEncryption": {"ServerSideEncryptionConfiguration": [{"ServerSideEncryptionByDefault": {"SSEAlgorithm": "AES256"}}]},
		"CorsConfiguration": {"CorsRules": [{"AllowedOrigins": ["*"], "AllowedMethods": ["GET", "HEAD"], "ExposedHeaders": ["Content-Disposition", "Content-Length", "ETag"], "MaxAge": 3600},
			{"Fn::If": ["HasCors", {"AllowedOrigins": {"Fn::Split": [",", {"Ref": "CorsOrigins"}]}, "AllowedMethods": ["PUT"], "AllowedHeaders": ["Content-Type", "If-None-Match"], "MaxAge": 3600}, {"Ref": "AWS::NoValue"}]}]},
		"LifecycleConfiguration": {"Rules": [
			{"Id": "uploads", "Status": "Enabled", "Prefix": "uploads/", "ExpirationInDays": 2, "NoncurrentVersionExpiration": {"NoncurrentDays": 1}},
			{"Id": "unfinished", "Status": "Enabled", "AbortIncompleteMultipartUpload": {"DaysAfterInitiation": 1}},
			{"Fn::If": ["HasVersions", {"Id": "versions", "Status": "Enabled", "NoncurrentVersionExpiration": {"NoncurrentDays": 30}, "ExpiredObjectDeleteMarker": true}, {"Ref": "AWS::NoValue"}]}]}}`)
	for option, state := range map[string]string{"HasVersions": `{"Fn::Not": [{"Fn::Equals": [{"Ref": "BucketVersions"}, "no"]}]}`, "KeepsVersions": `{"Fn::Equals": [{"Ref": "BucketVersions"}, "yes"]}`} {
		checkJSON(t, option, s.Conditions[option], state)
	}
	checkJSON(t, "whether a new bucket has versions", s.Parameters["BucketVersions"].Default, `"no"`)
	checkJSON(t, "its policy", s.Resources["BucketPolicy"].Properties, `{"Bucket": {"Ref": "Bucket"}, "PolicyDocument": {"Version": "2012-10-17", "Statement": [{
		"Sid": "TLSOnly", "Effect": "Deny", "Principal": "*", "Action": "s3:*",
		"Resource": [{"Fn::GetAtt": ["Bucket", "Arn"]}, {"Fn::Sub": "${Bucket.Arn}/*"}],
		"Condition": {"Bool": {"aws:SecureTransport": "false"}}}]}}`)
}

// The functions accept the secret, whose API key is still to be set. It depends
// on no parameter, because an update would then undo the operator's changes.
func TestSecret(t *testing.T) {
	s := template(t)
	r := s.Resources["Secret"]
	checkRetained(t, "the secret", r)
	if len(r.Properties) != 1 {
		t.Errorf("the secret has more than its value: %s", encode(r.Properties))
	}
	composed, _ := dig(r.Properties, "SecretString", "Fn::Sub").(string)
	generated := map[string]bool{}
	value := regexp.MustCompile(`\{\{resolve:secretsmanager:\$\{(\w+)\}\}\}`).ReplaceAllStringFunc(composed, func(reference string) string {
		id := strings.Trim(reference[strings.Index(reference, "$"):], "${}")
		checkJSON(t, id, s.Resources[id].Properties, `{"GenerateSecretString": {"PasswordLength": 48, "ExcludePunctuation": true}}`)
		if s.Resources[id].Type != "AWS::SecretsManager::Secret" || generated[id] {
			t.Errorf("%s is no secret of its own", id)
		}
		generated[id] = true
		return strings.Repeat("x", 48)
	})
	if strings.Contains(value, "$") {
		t.Errorf("the secret refers to more: %s", value)
	}
	secret, err := config.ParseSecret([]byte(value))
	if err != nil {
		t.Fatal(err)
	}
	if secret.APIKey != "" || len(secret.CallbackKeys) != 1 || len(secret.ImageKeys) != 1 || len(secret.NotifyKeys) != 1 || len(generated) != 3 {
		t.Errorf("the secret is %s", value)
	}
}

// nameProperties are the properties that name a resource in its account.
var nameProperties = map[string]string{
	"AWS::ApiGatewayV2::Api": "Name", "AWS::CloudWatch::Alarm": "AlarmName", "AWS::DynamoDB::Table": "TableName", "AWS::IAM::Role": "RoleName",
	"AWS::Lambda::Function": "FunctionName", "AWS::Logs::LogGroup": "LogGroupName", "AWS::S3::Bucket": "BucketName",
	"AWS::Scheduler::Schedule": "Name", "AWS::SecretsManager::Secret": "Name",
	"AWS::Logs::QueryDefinition": "Name", "AWS::CloudWatch::Dashboard": "DashboardName", "AWS::SNS::Topic": "TopicName",
	"AWS::ApiGatewayV2::Stage": "", "AWS::Lambda::Alias": "", "AWS::Lambda::Version": "", "AWS::Lambda::EventInvokeConfig": "", "AWS::Lambda::EventSourceMapping": "", "AWS::Lambda::Permission": "", "AWS::S3::BucketPolicy": "",
}

func TestResourceNames(t *testing.T) {
	for id, r := range template(t).Resources {
		property, known := nameProperties[r.Type]
		if !known {
			t.Errorf("%s is a %s, which this test does not know", id, r.Type)
		}
		if name := r.Properties[property]; name != nil && !strings.Contains(encode(name), "AWS::StackName") {
			t.Errorf("%s has the same name %s in every stack", id, encode(name))
		}
	}
}
