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
	queryList    = "dynamodb:Query Table/index/list"
	queryOwner   = "dynamodb:Query Table/index/owner"
)

// wantRights are what each function may do, and on what.
var wantRights = map[string][]string{
	"submit":   {openSecret, readRow, readRows, putRow, changeQuota, signLinks, showUploads},
	"tasks":    {openSecret, readRow, readRows, putRow, changeQuota, queryList, queryOwner},
	"credits":  {openSecret, readRow, putRow},
	"callback": {openSecret, readRow, putRow, changeQuota},
	"images":   {openSecret, signLinks},
	"uploads": {openSecret, placeUploads,
		readRow + ` {"ForAllValues:StringEquals":{"dynamodb:LeadingKeys":["NONE"]}}`, changeQuota + ` {"ForAllValues:StringLike":{"dynamodb:LeadingKeys":["UPLOADS#*"]}}`},
	"mcp":   {openSecret, readRow, readRows, putRow, changeQuota, queryList, queryOwner, signLinks, showUploads, placeUploads},
	"sweep": {openSecret, readRow, readRows, putRow, changeQuota, signLinks, showUploads, "dynamodb:Query Table/index/due"},
	"ingest": {readRow, putRow, changeQuota,
		"dynamodb:DescribeStream Table/stream/*", "dynamodb:GetRecords Table/stream/*", "dynamodb:GetShardIterator Table/stream/*", "dynamodb:ListStreams Table/stream/*",
		showUploads, "s3:PutObject Bucket/tasks/*", "s3:DeleteObjectVersion Bucket/tasks/*", `s3:ListBucketVersions Bucket {"StringLike":{"s3:prefix":"tasks/*"}}`},
	"notify": {openSecret, readRow, putRow,
		"dynamodb:DescribeStream Table/stream/*", "dynamodb:GetRecords Table/stream/*", "dynamodb:GetShardIterator Table/stream/*", "dynamodb:ListStreams Table/stream/*"},
}

// managedPolicies are AWS's own policies that every function has, for its log
// and its traces.
var managedPolicies = []string{
	"arn:aws:iam::aws:policy/AWSXrayWriteOnlyAccess",
	"arn:aws:iam::aws:policy/service-role/AWSLambdaBasicExecutionRole",
}

func TestRights(t *testing.T) {
	s := template(t)
	for _, name := range functionNames(t) {
		checkJSON(t, name+"'s role", s.functionResource(t, name).Properties["Role"], `{"Fn::GetAtt": ["`+logicalID(name)+`Role", "Arn"]}`)
		got, policies := rightsOf(t, s.Resources[logicalID(name)+"Role"])
		want := slices.Sorted(slices.Values(wantRights[name]))
		if !slices.Equal(got, want) {
			t.Errorf("%s may\n%s, want\n%s", name, strings.Join(got, "\n"), strings.Join(want, "\n"))
		}
		if !slices.Equal(policies, managedPolicies) {
			t.Errorf("%s has the policies %q", name, policies)
		}
	}
	for role, function := range map[string]string{"SweepDueRole": "Sweep", "CreditsCheckRole": "Credits"} {
		if got, policies := rightsOf(t, s.Resources[role]); len(policies) > 0 || !slices.Equal(got, []string{"lambda:InvokeFunction " + function + "Aliaslive"}) {
			t.Errorf("%s may %q and has %q", role, got, policies)
		}
	}
	if roles := s.ofType("AWS::IAM::Role"); len(roles) != len(wantRights)+2 {
		t.Errorf("%d roles, want %d", len(roles), len(wantRights)+2)
	}
	for _, kind := range []string{"AWS::IAM::Policy", "AWS::IAM::ManagedPolicy"} {
		if len(s.ofType(kind)) > 0 {
			t.Errorf("rights are granted elsewhere, in an %s", kind)
		}
	}
}

// rightsOf returns a role's rights as "action resource", and its managed
// policies.
func rightsOf(t testing.TB, role resource) (rights, policies []string) {
	t.Helper()
	for _, arn := range list(role.Properties["ManagedPolicyArns"]) {
		policies = append(policies, arn.(string))
	}
	for _, policy := range list(role.Properties["Policies"]) {
		for _, statement := range list(dig(policy, "PolicyDocument", "Statement")) {
			if dig(statement, "Effect") != "Allow" || dig(statement, "NotAction") != nil || dig(statement, "NotResource") != nil {
				t.Errorf("a statement is %s", encode(statement))
			}
			for _, action := range list(dig(statement, "Action")) {
				for _, on := range list(dig(statement, "Resource")) {
					right := action.(string) + " " + resourceName(on)
					if condition := dig(statement, "Condition"); condition != nil {
						right += " " + encode(condition)
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

// list returns a list, or the single value in its place as a list.
func list(v any) []any {
	switch v := v.(type) {
	case nil:
		return nil
	case []any:
		return v
	}
	return []any{v}
}

// resourceName returns a readable name of a resource: Table, Table/index/due.
func resourceName(v any) string {
	if id, ok := dig(v, "Ref").(string); ok {
		return id
	}
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
	return encode(v)
}
