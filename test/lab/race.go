//go:build race

package lab

// RaceDetector reports whether the program was built with the race detector.
const RaceDetector = true
