// Benchmarks are a module of their own, so that what they compare with never
// becomes a dependency of ofdvr.
module github.com/ofdvr/ofdvr/bench

go 1.26.0

require github.com/ofdvr/ofdvr v0.0.0

require (
	github.com/gopacket/gopacket v1.7.7 // indirect
	golang.org/x/sys v0.49.0 // indirect
)

replace github.com/ofdvr/ofdvr => ../
