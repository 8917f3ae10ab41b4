package libof_test

import (
	"testing"

	"github.com/ofdvr/ofdvr/test/lab"
)

// TestMain runs the tests where a real switch can be started.
func TestMain(m *testing.M) { lab.Main(m) }
