package ofproto_test

import (
	"testing"

	. "github.com/ofdvr/ofdvr/ofproto"
)
