//go:build race

package lab

// raceDetector tells whether the program was built with it.
const raceDetector = true
