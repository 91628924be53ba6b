//go:build !race

package prooftest

const raceDetector = false
