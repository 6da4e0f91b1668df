//go:build race

package domain_test

const raceDetector = true
