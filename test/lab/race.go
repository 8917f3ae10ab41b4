//go:build race

package lab

// RaceDetector tells whether the program was built with it.
const RaceDetector = true
