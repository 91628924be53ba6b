package template_test

import (
	"slices"
	"strings"
	"testing"
)

const (
	openSecret   = "secretsmanager:GetSecretValue Secret"
	signLinks    = "s3:GetObject Bucket/tasks/*"
	showUploads  = "s3:GetObject Bucket/uploads/*"
	placeUploads = "s3:PutObject Bucket/uploads/*"
	readRow      = "dynamodb:GetItem Table"
	readRows     = "dynamodb:BatchGetItem Table"
	putRow       = "dynamodb:PutItem Table"
	changeQuota  = "dynamodb:UpdateItem Table"
)

// rights are what each function may do, and on what.
var rights = map[string][]string{
	"submit":   {openSecret, readRow, readRows, putRow, changeQuota, signLinks, showUploads},
	"tasks":    {openSecret, readRow, readRows, putRow, changeQuota, "dynamodb:Query Table/index/list"},
	"credits":  {openSecret, readRow, putRow},
	"callback": {openSecret, readRow, putRow, changeQuota},
	"images":   {openSecret, signLinks},
	"uploads":  {openSecret, placeUploads},
	"mcp":      {openSecret, readRow, readRows, putRow, changeQuota, "dynamodb:Query Table/index/list", signLinks, showUploads, placeUploads},
	"sweep":    {openSecret, readRow, readRows, putRow, changeQuota, signLinks, showUploads, "dynamodb:Query Table/index/due"},
	"ingest": {readRow, putRow, changeQuota,
		"dynamodb:DescribeStream Table/stream/*", "dynamodb:GetRecords Table/stream/*", "dynamodb:GetShardIterator Table/stream/*", "dynamodb:ListStreams Table/stream/*",
		"s3:PutObject Bucket/tasks/*", "s3:DeleteObject Bucket/tasks/*", `s3:ListBucket Bucket {"StringLike":{"s3:prefix":"tasks/*"}}`},
	"notify": {openSecret, readRow, putRow,
		"dynamodb:DescribeStream Table/stream/*", "dynamodb:GetRecords Table/stream/*", "dynamodb:GetShardIterator Table/stream/*", "dynamodb:ListStreams Table/stream/*"},
}

// managed are the policies of AWS's own that every function has: to write its
// log and its traces.
var managed = []string{
	"arn:aws:iam::aws:policy/AWSXrayWriteOnlyAccess",
	"arn:aws:iam::aws:policy/service-role/AWSLambdaBasicExecutionRole",
}

func TestTemplateRights(t *testing.T) {
	s := template(t)
	for _, name := range folders(t) {
		equal(t, name+"'s role", s.function(t, name).Properties["Role"], `{"Fn::GetAtt": ["`+logicalID(name)+`Role", "Arn"]}`)
		got, policies := granted(t, s.Resources[logicalID(name)+"Role"])
		want := slices.Sorted(slices.Values(rights[name]))
		if !slices.Equal(got, want) {
			t.Errorf("%s may\n%s, want\n%s", name, strings.Join(got, "\n"), strings.Join(want, "\n"))
		}
		if !slices.Equal(policies, managed) {
			t.Errorf("%s has the policies %q", name, policies)
		}
	}
	for role, function := range map[string]string{"SweepDueRole": "Sweep", "CreditsCheckRole": "Credits"} {
		if got, policies := granted(t, s.Resources[role]); len(policies) > 0 || !slices.Equal(got, []string{"lambda:InvokeFunction " + function}) {
			t.Errorf("%s may %q and has %q", role, got, policies)
		}
	}
	if roles := s.of("AWS::IAM::Role"); len(roles) != len(rights)+2 {
		t.Errorf("%d roles, want %d", len(roles), len(rights)+2)
	}
	for _, kind := range []string{"AWS::IAM::Policy", "AWS::IAM::ManagedPolicy"} {
		if len(s.of(kind)) > 0 {
			t.Errorf("rights stand elsewhere, in an %s", kind)
		}
	}
}

// granted gives a role's rights as "action resource", and its managed policies.
func granted(t testing.TB, role part) (rights, policies []string) {
	t.Helper()
	for _, arn := range many(role.Properties["ManagedPolicyArns"]) {
		policies = append(policies, arn.(string))
	}
	for _, policy := range many(role.Properties["Policies"]) {
		for _, statement := range many(dig(policy, "PolicyDocument", "Statement")) {
			if dig(statement, "Effect") != "Allow" || dig(statement, "NotAction") != nil || dig(statement, "NotResource") != nil {
				t.Errorf("a statement is %s", text(statement))
			}
			for _, action := range many(dig(statement, "Action")) {
				for _, on := range many(dig(statement, "Resource")) {
					right := action.(string) + " " + target(on)
					if condition := dig(statement, "Condition"); condition != nil {
						right += " " + text(condition)
					}
					rights = append(rights, right)
				}
			}
		}
	}
	slices.Sort(rights)
	slices.Sort(policies)
	return rights, policies
}

// many is a list, or the one thing that stands where a list may.
func many(v any) []any {
	switch v := v.(type) {
	case nil:
		return nil
	case []any:
		return v
	}
	return []any{v}
}

// target is a resource for people: Table, Table/index/due.
func target(v any) string {
	if id, ok := dig(v, "Fn::GetAtt", "0").(string); ok && dig(v, "Fn::GetAtt", "1") == "Arn" {
		return id
	}
	if id, ok := dig(v, "Fn::Sub", "1", "secretArn", "Ref").(string); ok && dig(v, "Fn::Sub", "0") == "${secretArn}" {
		return id
	}
	if sub, ok := dig(v, "Fn::Sub").(string); ok {
		id, rest, found := strings.Cut(strings.TrimPrefix(sub, "${"), ".Arn}")
		if found {
			return id + rest
		}
	}
	return text(v)
}
