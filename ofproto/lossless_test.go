package ofproto_test

import (
	"bytes"
	"encoding/hex"
	"strings"
	"testing"

	"github.com/ofdvr/ofdvr/ofproto"
)

// If a decoded message is encoded again, the bytes are the same, even if fields that Open
// vSwitch leaves 0 are set.
func TestDecodingIsLossless(t *testing.T) {
	// In this ofp_port all features and speeds differ, and the name has 16 bytes.
	const port = "00000003 00000000 020000000101 0000 70722d626c75652d3031323334353637 00000024 00000004 00000001 00000002 00000004 00000008 000186a0 000f4240"
	for name, text := range map[string]string{
		"port status":               "040c 0050 00000001 02 00000000000000 " + port,
		"port description":          "0413 0050 00000001 000d 0000 00000000 " + port,
		"meter, experimenter band":  "041d 0024 00000001 0000 000d 00000007 ffff 0014 000003e8 00000064 00002320 0badcafe",
		"meter, DSCP band":          "041d 0020 00000001 0000 000d 00000007 0002 0010 000003e8 00000064 05 000000",
		"meter, drop band":          "041d 0020 00000001 0000 000d 00000007 0001 0010 000003e8 00000064 00000000",
		"meter, unknown band":       "041d 0024 00000001 0001 000d 00000007 0009 0014 000003e8 00000064 01020304 05060708",
		"meter configuration reply": "0413 0028 00000001 000a 0000 00000000 0018 000d 00000007 0002 0010 000003e8 00000064 03 000000",
		"port mod":                  "0410 0028 00000001 00000003 00000000 020000000101 0000 00000000 00000024 00000000 00000000",
	} {
		b, err := hex.DecodeString(strings.ReplaceAll(text, " ", ""))
		if err != nil {
			t.Fatal(err)
		}
		m, err := ofproto.Decode(b)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if got := m.Append(nil, 1); !bytes.Equal(got, b) {
			t.Errorf("%s: %#v\ngot  %x\nwant %x", name, m, got, b)
		}
	}
}
