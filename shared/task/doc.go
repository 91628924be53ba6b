// Package task holds the life of one image request: the Task, its statuses,
// the one table of lawful changes between them, and the contract of the Store
// that keeps it. Everything here is pure: it reads no clock, network or disk,
// and imports only the standard library. docs/ARCHITECTURE.md draws the table;
// docs/invariants.md lists what must always hold (I1 to I12, P1 to P7).
package task
