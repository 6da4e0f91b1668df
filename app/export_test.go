package app

import "github.com/weather-mcp/weather-mcp-analytics/domain"

// ForgeToolsCursor makes a cursor of one query out of another's, with an offset
// of choice, and seals it as whoever reads the code could.
func (u *Pages) ForgeToolsCursor(from, to PageQuery, offset int) (string, error) {
	p := paged[domain.Tools, domain.ToolSummary]{name: "tools", columns: domain.ToolColumns()}
	genuine, err := p.cut(u.stats, from)
	if err != nil {
		return "", err
	}
	to.Cursor = ""
	target, err := p.cut(u.stats, to)
	return target.view.cursor(place{genuine.from.snapshot, offset}), err
}
