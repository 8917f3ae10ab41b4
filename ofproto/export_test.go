package ofproto

import (
	"maps"
	"slices"
)

// DecodeMatch decodes an ofp_match structure.
func DecodeMatch(b []byte) (Match, error) {
	m, _, err := decodeMatch(string(b))
	return m, err
}

// AllErrorCodes returns the codes that have names.
func AllErrorCodes() []ErrorCode { return slices.Sorted(maps.Keys(errorMeanings)) }
