// Package task holds the life of one image request: the Task, its statuses,
// the one table of lawful changes between them, and the contract of the Store
// that keeps it. Everything here is pure: it reads no clock, no network and no
// disk. The standard library is all it imports.
package task
