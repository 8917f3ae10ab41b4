package main

import (
	"errors"
	"testing"
	"time"
)

// --since takes a duration before now, or a time, in the local time zone if it has none.
func TestPastTime(t *testing.T) {
	zone := time.FixedZone("", 3600)
	now := time.Date(2026, 11, 30, 19, 0, 0, 0, zone)
	for text, want := range map[string]string{
		"10m": "2026-11-30T18:50:00+01:00", "1h30m": "2026-11-30T17:30:00+01:00",
		"2026-11-30 18:00": "2026-11-30T18:00:00+01:00", "2026-11-30 18:00:59": "2026-11-30T18:00:59+01:00", "2026-11-29": "2026-11-29T00:00:00+01:00",
		"2026-11-30T18:00:00Z": "2026-11-30T18:00:00Z",
	} {
		got, err := pastTime(text, now)
		if err != nil || got.Format(time.RFC3339) != want {
			t.Errorf("%s: %v, %v, want %s", text, got, err, want)
		}
	}
	for _, text := range []string{"-10m", "0s", "yesterday", "18:00", "7"} {
		if _, err := pastTime(text, now); !errors.As(err, new(usageError)) {
			t.Errorf("%s: %v", text, err)
		}
	}
}
