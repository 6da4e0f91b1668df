package httpapi

import "strings"

// preference returns the value that the Prefer headers (RFC 7240) give to
// name, in lower case. Of several the first counts; without a value, or when
// the preference is not there, it is empty.
func preference(headers []string, name string) string {
	for _, element := range splitUnquoted(strings.Join(headers, ","), ',') {
		// What follows a semicolon are parameters of the preference.
		text := splitUnquoted(element, ';')[0]
		given, value, _ := strings.Cut(text, "=")
		if strings.EqualFold(strings.TrimSpace(given), name) {
			return strings.ToLower(unquote(strings.TrimSpace(value)))
		}
	}
	return ""
}

// splitUnquoted splits s at each separator outside quoted strings. It returns
// at least one part.
func splitUnquoted(s string, separator byte) []string {
	var parts []string
	start, quoted := 0, false
	for i := 0; i < len(s); i++ {
		switch c := s[i]; {
		case quoted && c == '\\':
			i++ // the next character is meant as it stands
		case c == '"':
			quoted = !quoted
		case c == separator && !quoted:
			parts = append(parts, s[start:i])
			start = i + 1
		}
	}
	return append(parts, s[start:])
}

// unquote returns what a quoted string (RFC 9110, section 5.6.4) stands for.
// Anything else stands for itself.
func unquote(s string) string {
	if len(s) < 2 || s[0] != '"' || s[len(s)-1] != '"' {
		return s
	}
	var text strings.Builder
	inner := s[1 : len(s)-1]
	for i := 0; i < len(inner); i++ {
		if inner[i] == '\\' && i+1 < len(inner) {
			i++
		}
		text.WriteByte(inner[i])
	}
	return text.String()
}
