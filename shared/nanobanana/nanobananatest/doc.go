// Package nanobananatest simulates the NanoBanana API for tests and for the local run.
package nanobananatest
