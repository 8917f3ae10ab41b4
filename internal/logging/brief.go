package logging

import (
	"fmt"
	"strings"
)

// maxBrief is the maximum number of items that [Brief] lists.
const maxBrief = 4

// Brief joins the first few of the given items, and adds the number of further items.
func Brief(what []string) string {
	if n := len(what) - maxBrief; n > 1 {
		return fmt.Sprintf("%s and %d more", strings.Join(what[:maxBrief], ", "), n)
	}
	return strings.Join(what, ", ")
}
