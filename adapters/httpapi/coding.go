package httpapi

import (
	"strconv"
	"strings"
)

// acceptsGzip reads Accept-Encoding (RFC 9110, section 12.5.3). Without a word
// about gzip, or with a better one about identity, bodies go as they are.
func acceptsGzip(headers []string) bool {
	weights := map[string]float64{}
	for element := range strings.SplitSeq(strings.Join(headers, ","), ",") {
		coding, parameters, _ := strings.Cut(element, ";")
		weights[strings.ToLower(strings.TrimSpace(coding))] = weight(parameters)
	}
	gzipped, named := weights["gzip"]
	if !named {
		gzipped = max(weights["x-gzip"], weights["*"])
	}
	return gzipped > 0 && gzipped >= weights["identity"]
}

// weight is the number in q=0.5; 1 where there is none, 0 where it is no
// number.
func weight(parameters string) float64 {
	name, value, found := strings.Cut(strings.TrimSpace(parameters), "=")
	if !found || !strings.EqualFold(strings.TrimSpace(name), "q") {
		return 1
	}
	q, err := strconv.ParseFloat(strings.TrimSpace(value), 64)
	if err != nil {
		return 0
	}
	return q
}
