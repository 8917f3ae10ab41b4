package ofproto_test

import (
	"testing"

	"github.com/ofdvr/ofdvr/test/lab"
)

// TestMain runs the tests in an environment that can start a real switch.
func TestMain(m *testing.M) { lab.Main(m) }
