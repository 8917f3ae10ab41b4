package api

import (
	"bytes"
	"mime"
	"net/http"
	"regexp"
	"strings"
)

// mergePatch is the media type of merge patches (RFC 7396).
const mergePatch = "application/merge-patch+json"

// wrongType returns a problem if the media type of the body is not want. Unspecific types, such as
// curl's default, are accepted as JSON.
func (b *Sent) wrongType(want string) *Problem {
	kind, _, err := mime.ParseMediaType(b.r.Header.Get("Content-Type"))
	if err != nil {
		return nil // the type is missing or unspecific
	}
	switch {
	case strings.Contains(kind, "yaml"):
		return yamlProblem()
	case strings.HasSuffix(kind, "+json") && kind != want, strings.HasSuffix(kind, "/xml"), strings.HasSuffix(kind, "+xml"):
		if want == mergePatch {
			b.w.Header().Set("Accept-Patch", mergePatch)
		}
		return problem(http.StatusUnsupportedMediaType, "the body is sent as %s; send %s", kind, want)
	}
	return nil
}

// yamlProblem is the problem of a body in YAML.
func yamlProblem() *Problem {
	return problem(http.StatusUnsupportedMediaType, "the body is YAML, and the API reads JSON: send JSON, or use 'ofdvr apply FILE', which reads YAML too")
}

// yamlStart matches the beginning of a mapping or a list in YAML's block style, a
// comment or a document mark.
var yamlStart = regexp.MustCompile(`^(---|%YAML|#|- |["']?[A-Za-z_][A-Za-z0-9_]*["']?:(\s|$))`)

// looksLikeYAML reports whether a body, which should be JSON, is probably a topology file or an
// object in YAML.
func looksLikeYAML(text []byte) bool {
	line, _, _ := bytes.Cut(bytes.TrimLeft(text, " \t\r\n\ufeff"), []byte("\n"))
	return yamlStart.Match(line)
}
