// Package metric makes metrics of log lines: [Handler] adds to the lines whose "event" is
// in a table what CloudWatch's embedded metric format asks for. CloudWatch then counts
// them, and nothing is sent anywhere:
// https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/CloudWatch_Embedded_Metric_Format_Specification.html
//
// A dimension's values are a closed set, so neither a user nor anything from outside can
// ever be one, and the number of metrics, which cost money, is known.
package metric

// Metric is what one log line says about one metric.
type Metric struct {
	Name  string
	Unit  string // as CloudWatch spells it
	Field string // holds its value: a number, or for true and false 1 and 0. Empty: each line is 1
	Is    string // with it the value is 1 if Field has this text, else 0

	// Only lines with all of these texts in these fields count.
	When map[string]string

	// Setting is the parameter of template.yaml without which no line has this metric.
	// Empty: every stack has it.
	Setting string

	// Dimension is the field whose text tells several metrics of this name apart. Lines
	// with a text that is not in [Values] do not count. Empty: none.
	Dimension string
}

// Values are the texts that a dimension may have.
var Values = map[string][]string{
	"code": {
		"content_policy", "generation_failed", "image_unavailable", "input_image_unusable", "insufficient_credits", "outcome_unknown",
		"paused", "provider_rejected", "provider_unauthorized", "provider_unavailable", "rate_limited", "timed_out",
	},
	"model": {"nano-banana", "nano-banana-2", "nano-banana-pro"},
}

// Errors counts the lines of level ERROR, whatever their event.
var Errors = Metric{Name: "Errors", Unit: "Count"}

// Table is what lines count for, by their event. docs/deploy.md says what it costs.
var Table = map[string][]Metric{
	"task_ended": {
		{Name: "TasksEndedBadly", Unit: "Count", Field: "bad"}, // its samples are all ends
		{Name: "TasksEnded", Unit: "Count", Dimension: "model"},
		{Name: "TasksFailed", Unit: "Count", Dimension: "code"},
		{Name: "SecondsToPicture", Unit: "Seconds", Field: "seconds", When: map[string]string{"status": "succeeded"}},
	},
	"transition": {
		// Of all attempts; the average is the share.
		{Name: "Unconfirmed", Unit: "Count", Field: "to", Is: "unconfirmed", When: map[string]string{"from": "submitting"}},
	},
	"provider_called": {
		{Name: "SubmitTime", Unit: "Milliseconds", Field: "ms", When: map[string]string{"call": "submit"}},
		{Name: "RecordTime", Unit: "Milliseconds", Field: "ms", When: map[string]string{"call": "record"}},
		{Name: "ProviderOk", Unit: "Count", Field: "outcome", Is: "ok"}, // its samples are all calls
	},
	"swept": {
		{Name: "OldestUnfinished", Unit: "Seconds", Field: "oldestSeconds"},
		{Name: "TasksDue", Unit: "Count", Field: "done"},
		{Name: "TasksWaiting", Unit: "Count", Field: "waiting"}, // for a POST
		{Name: "Held", Unit: "Seconds", Field: "heldSeconds"},   // only while POSTs are on hold
		{Name: "NoticesWaiting", Unit: "Count", Field: "notices", Setting: "NotifyUrl"},
	},
	"notice_given_up":  {{Name: "NoticesGivenUp", Unit: "Count", Setting: "NotifyUrl"}},
	"callback_refused": {{Name: "CallbacksRefused", Unit: "Count"}},
	"contradicted":     {{Name: "LateContradictions", Unit: "Count"}},
	"record_unusable":  {{Name: "LateContradictions", Unit: "Count", When: map[string]string{"doubt": "foreign"}}},
	"credits_checked":  ofCheck,
	"credits_low":      ofCheck,
}

// ofCheck are the metrics of a check of the credits, low or not.
var ofCheck = []Metric{
	{Name: "Balance", Unit: "None", Field: "balance"}, // its samples are the checks
	{Name: "SpentHour", Unit: "None", Field: "spentHour"},
	{Name: "BudgetUsed", Unit: "Percent", Field: "budgetPercent", Setting: "DailyBudget"},
	{Name: "BudgetUsedInHour", Unit: "Percent", Field: "hourPercent", Setting: "DailyBudget"},
}
