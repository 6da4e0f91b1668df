package httpapi

import (
	"fmt"
	"net/url"
)

// pageJSON ends an answer that is told page by page. Next is the cursor of the
// page that follows.
type pageJSON struct {
	Next string `json:"next,omitempty"`
}

// pageLinks is the Link header of a page: to the first one and, unless next is
// empty, to the next. The links are relative, for a proxy may have moved us.
func pageLinks(page *url.URL, next string) string {
	query := page.Query()
	query.Del("cursor")
	links := pageLink(page.Path, query, "first")
	if next == "" {
		return links
	}
	query.Set("cursor", next)
	return pageLink(page.Path, query, "next") + ", " + links
}

func pageLink(path string, query url.Values, rel string) string {
	target := url.URL{Path: path, RawQuery: query.Encode()}
	return fmt.Sprintf(`<%s>; rel=%q`, target.String(), rel)
}
