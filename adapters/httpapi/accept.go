package httpapi

import (
	"strconv"
	"strings"
)

// prefersPage reports whether the Accept headers (RFC 9110, section 12.5.1) name
// text/html and weigh it no less than JSON. A range whose weight cannot be read
// weighs nothing.
func prefersPage(headers []string) bool {
	weights := make(map[string]float64)
	for _, element := range splitUnquoted(strings.Join(headers, ","), ',') {
		parts := splitUnquoted(element, ';')
		weight := 1.0
		for _, parameter := range parts[1:] {
			if name, value, _ := strings.Cut(parameter, "="); strings.EqualFold(strings.TrimSpace(name), "q") {
				weight, _ = strconv.ParseFloat(strings.TrimSpace(value), 64)
			}
		}
		name := strings.ToLower(strings.TrimSpace(parts[0]))
		weights[name] = max(weights[name], weight)
	}
	var json float64
	for _, name := range []string{"application/json", "application/*", "*/*"} { // the closest counts
		if weight, ok := weights[name]; ok {
			json = weight
			break
		}
	}
	html := weights["text/html"]
	return html > 0 && html >= json
}
