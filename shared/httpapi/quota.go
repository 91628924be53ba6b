package httpapi

import "time"

// Quota is the published form of a task.Allowance. A limit of 0 means no limit.
type Quota struct {
	Limit    int       `json:"limit"`
	Used     int       `json:"used"`
	ResetsAt time.Time `json:"resetsAt"`
}
