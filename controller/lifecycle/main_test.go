package lifecycle

import (
	"testing"

	"github.com/ofdvr/ofdvr/test/lab"
)

// TestMain runs the tests in new namespaces, with an empty /run.
func TestMain(m *testing.M) { lab.Main(m) }
