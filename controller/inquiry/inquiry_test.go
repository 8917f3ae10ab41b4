package inquiry_test

import (
	"bytes"
	"compress/gzip"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/ofdvr/ofdvr/controller/inquiry"
)

func TestEncode(t *testing.T) {
	for _, text := range []string{"short", strings.Repeat("long ", 1000)} {
		value := inquiry.Encode(inquiry.Reply{Body: text}, nil, inquiry.MaxAnswer)
		a, err := inquiry.Decode(value)
		if err != nil || string(a.Body) != `"`+text+`"` || a.Cut != "" || a.Error != "" {
			t.Errorf("%.20q: %+v, %v", text, a, err)
		}
		if len(text) > 1000 && len(value) > len(text)/10 {
			t.Errorf("a text of %d bytes is encoded in %d", len(text), len(value))
		}
	}
	if a, err := inquiry.Decode(inquiry.Encode(inquiry.Reply{}, errors.New("broken"), 100)); err != nil || a.Error != "broken" {
		t.Errorf("an error: %+v, %v", a, err)
	}
	if a, err := inquiry.Decode(inquiry.Encode(inquiry.Reply{Body: func() {}}, nil, 100)); err != nil || a.Error == "" {
		t.Errorf("a value that is not JSON: %+v, %v", a, err)
	}
}

// Whatever another host writes, decoding has an error or a result, in bounded memory.
func TestDecodeHostile(t *testing.T) {
	var bomb bytes.Buffer
	w := gzip.NewWriter(&bomb)
	w.Write(bytes.Repeat([]byte{' '}, 64<<20))
	w.Close()
	for _, value := range []string{"", "{", "{}", "null", "[]", "\x1f\x8b", "\x1f\x8bxxxx", bomb.String()} {
		if a, err := inquiry.Decode([]byte(value)); err == nil {
			t.Errorf("%.20q is decoded as %+v", value, a)
		}
	}
}

func TestParseQuestion(t *testing.T) {
	q, err := inquiry.ParseQuestion([]byte(`{"kind": "status", "from": "h1", "within_ms": 99999999999999999, "later": 1}`))
	if err != nil || q.Within() != 5*time.Minute {
		t.Errorf("%+v, %v", q, err)
	}
	for _, value := range []string{"", "{}", `{"kind": "status", "from": "h1"}`, `{"kind": "status", "from": "h1", "within_ms": -1}`, strings.Repeat(" ", inquiry.MaxQuestion+1)} {
		if q, err := inquiry.ParseQuestion([]byte(value)); err == nil {
			t.Errorf("%.20q is parsed as %+v", value, q)
		}
	}
}
