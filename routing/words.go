package routing

import "strings"

// Arguments returns IDs as the arguments of a shell command. It adds quotes where they are
// needed, and -- before the IDs if one of them looks like a flag.
func Arguments(ids ...string) string {
	var b strings.Builder
	for _, id := range ids {
		if strings.HasPrefix(id, "-") {
			b.WriteString("-- ")
			break
		}
	}
	for i, id := range ids {
		if i > 0 {
			b.WriteByte(' ')
		}
		b.WriteString(Argument(id))
	}
	return b.String()
}

// Argument returns s as a word of a shell, with quotes if they are needed.
func Argument(s string) string {
	plain := func(c rune) bool {
		return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || strings.ContainsRune("-_./:@%+,=", c)
	}
	if s != "" && !strings.ContainsFunc(s, func(c rune) bool { return !plain(c) }) {
		return s
	}
	return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
}
