package lifecycle

import (
	"testing"

	"github.com/ofdvr/ofdvr/test/lab"
)

// TestMain runs the tests in namespaces of their own, with an empty /run.
func TestMain(m *testing.M) { lab.Main(m) }
