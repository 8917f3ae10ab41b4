package main

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// A usageError means that a command was called wrongly.
type usageError string

func (e usageError) Error() string { return string(e) }

func misuse(format string, args ...any) error { return usageError(fmt.Sprintf(format, args...)) }

// arguments returns a check that a command has the arguments with these names. An argument in
// brackets, such as "[ROUTER]", is optional. If the last name ends with "...", the argument may be
// repeated.
func arguments(names ...string) cobra.PositionalArgs {
	return func(_ *cobra.Command, args []string) error {
		for i, name := range names {
			if i >= len(args) && !strings.HasPrefix(name, "[") {
				return misuse("missing argument %s", strings.TrimSuffix(name, "..."))
			}
		}
		more := len(names) > 0 && strings.Contains(names[len(names)-1], "...")
		if len(args) > len(names) && !more {
			return misuse("unexpected argument %q", args[len(names)])
		}
		return nil
	}
}

// unknownCommand returns an error if args begin with the name of an unknown command.
func unknownCommand(root *cobra.Command, args []string) (*cobra.Command, error) {
	if len(args) > 1 && args[0] == "help" {
		args = args[1:]
	}
	cmd := root
	for _, arg := range args {
		if strings.HasPrefix(arg, "-") || !cmd.HasSubCommands() || strings.HasPrefix(arg, "__") { // hidden commands of package cobra
			break
		}
		var names []string
		var next *cobra.Command
		for _, c := range cmd.Commands() {
			switch {
			case c.Name() == arg || c.HasAlias(arg):
				next = c
			case !c.IsAvailableCommand():
			case slices.Contains(c.SuggestFor, arg):
				return cmd, misuse("unknown command %q; did you mean %s?", arg, c.Name())
			default:
				names = append(append(names, c.Name()), c.Aliases...)
			}
		}
		if next == nil {
			return cmd, misuse("unknown command %q%s", arg, didYouMean(arg, names))
		}
		cmd = next
	}
	return nil, nil
}

// flagError returns the error for flags of a command that cannot be parsed.
func flagError(cmd *cobra.Command, err error) error {
	if e, ok := errors.AsType[*pflag.NotExistError](err); ok {
		name, dashes := e.GetSpecifiedName(), "--"
		var known []string
		cmd.Flags().VisitAll(func(f *pflag.Flag) { known = append(known, f.Name) })
		if short := e.GetSpecifiedShortnames(); slices.Contains(known, short) {
			return misuse("unknown flag -%s; did you mean --%s?", short, short)
		} else if short != "" {
			return misuse("unknown flag -%s%s", name, habit(cmd, name))
		}
		if hint := habit(cmd, name); hint != "" {
			return misuse("unknown flag --%s%s", name, hint)
		}
		return misuse("unknown flag --%s%s", name, didYouMean(dashes+name, prefixed(dashes, known)))
	}
	if e, ok := errors.AsType[*pflag.ValueRequiredError](err); ok {
		what, _ := pflag.UnquoteUsage(e.GetFlag())
		return misuse("missing value of --%s: %s", e.GetFlag().Name, what)
	}
	if e, ok := errors.AsType[*pflag.InvalidValueError](err); ok {
		return misuse("--%s %q: %s", e.GetFlag().Name, e.GetValue(), wantedValue(e.GetFlag(), e.Unwrap()))
	}
	return usageError(err.Error())
}

// wantedValue describes the values that a flag accepts. err is the error for an invalid value.
func wantedValue(f *pflag.Flag, err error) string {
	switch f.Value.Type() {
	case "bool":
		return "want true or false"
	case "uint8":
		return "want a number from 0 to 255"
	case "uint16":
		return "want a number from 0 to 65535"
	case "stringToString":
		return "want NAME=NUMBER, or several with commas between them"
	case "int":
		return "want a whole number"
	case "duration":
		return "want a duration such as 500ms, 30s or 5m"
	}
	return err.Error()
}

func prefixed(prefix string, words []string) []string {
	out := make([]string, len(words))
	for i, w := range words {
		out[i] = prefix + w
	}
	return out
}

// didYouMean returns "; did you mean X?", where X is the known word that is most similar to word.
// If no known word is similar, it returns "".
func didYouMean(word string, known []string) string {
	begins := func(k string) bool { return strings.HasPrefix(k, word) }
	if i := slices.IndexFunc(known, begins); i >= 0 && len(strings.TrimLeft(word, "-")) > 2 {
		return "; did you mean " + known[i] + "?"
	}
	best, least := "", 3 // a word with three or more mistakes counts as another word
	for _, k := range known {
		d := distance(strings.ToLower(word), k)
		if d < least && d <= len(k)/2 {
			best, least = k, d
		}
	}
	if best == "" && len(word) > 1 {
		if i := slices.IndexFunc(known, begins); i >= 0 && word != "--" {
			best = known[i]
		}
	}
	if best == "" {
		return ""
	}
	return "; did you mean " + best + "?"
}

// distance returns the number of letters that have to be inserted, deleted, replaced or
// swapped with their neighbour to turn a into b.
func distance(a, b string) int {
	rows := make([][]int, len(a)+1)
	for i := range rows {
		rows[i] = make([]int, len(b)+1)
		rows[i][0] = i
	}
	for j := range rows[0] {
		rows[0][j] = j
	}
	for i := 1; i <= len(a); i++ {
		for j := 1; j <= len(b); j++ {
			replace := rows[i-1][j-1]
			if a[i-1] != b[j-1] {
				replace++
			}
			rows[i][j] = min(replace, rows[i-1][j]+1, rows[i][j-1]+1)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				rows[i][j] = min(rows[i][j], rows[i-2][j-2]+1)
			}
		}
	}
	return rows[len(a)][len(b)]
}
