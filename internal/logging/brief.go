package logging

import (
	"fmt"
	"strings"
)

// maxBrief is how many things a line of the log names.
const maxBrief = 4

// Brief joins the first few of what happened.
func Brief(what []string) string {
	if n := len(what) - maxBrief; n > 1 {
		return fmt.Sprintf("%s and %d more", strings.Join(what[:maxBrief], ", "), n)
	}
	return strings.Join(what, ", ")
}
