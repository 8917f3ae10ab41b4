package e2e

import (
	"regexp"
	"testing"

	"github.com/ofdvr/ofdvr/test/lab"
)

// ofdvr top shows the current traffic of interfaces, routers and ports.
func TestTop(t *testing.T) {
	t.Parallel()
	s, vm1, vm2 := pair(t)
	ping(t, vm1, vm2.IP(), lab.PingOptions{Count: 3})
	traffic := startStream(t, vm1, vm2.IP())
	for what, want := range map[string]string{
		"interfaces": `(?m)^r1 +r1-(blue|green) +[1-9]\d*(\.\d+)? +[1-9]\S+ +[1-9]\S* +[1-9]\S+ +\d\S* +\d`,
		"routers":    `(?m)^r1 +[1-9]\S* +[1-9]\S+ +[1-9]\S* +[1-9]\S+ +\d\S* +\d`,
		"ports":      `(?m)^r1 +r1-green +vm2 +[1-9]\S* +[1-9]\S+$`,
	} {
		s.eventually("top to show the traffic of "+what, func() error {
			out := s.ofdvr(0, "top", what, "--interval", "1s", "-n", "1")
			if !regexp.MustCompile(want).MatchString(out) {
				return lacks(out, want)
			}
			return nil
		})
	}
	traffic.mustBeWhole()
	mustHave(t, s.ofdvr(64, "top", "--interval", "10ms"), "want at least 1s")
	mustHave(t, s.ofdvr(64, "top", "nothing"), "nothing")
}
