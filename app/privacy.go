package app

import (
	"context"
	"slices"

	"github.com/weather-mcp/weather-mcp-analytics/domain"
)

// protect finds out which countries and versions the answer may tell apart. It
// comes before the answer itself is read: counts grow, so what was large enough
// to be told stays so.
func (u *Statistics) protect(ctx context.Context, scope *domain.Scope, by []domain.Dimension) error {
	private := privateIn(scope.Filter, by)
	decidesItself := scope.Window.Resolution == domain.Daily && scope.Filter == domain.Filter{}
	if scope.PrivacyMinCount == 0 || len(private) == 0 || decidesItself {
		return nil
	}
	var breakdowns []domain.Selected
	for _, s := range decisive(*scope, private) {
		selected, err := u.selection(ctx, s)
		if err != nil {
			return err
		}
		breakdowns = append(breakdowns, selected)
	}
	scope.Disclosure = domain.NewDisclosure(scope.PrivacyMinCount, breakdowns...)
	var err error
	scope.Hidden, err = u.hidden(ctx, *scope)
	return err
}

// privateIn lists the private dimensions that an answer filters or breaks down
// by.
func privateIn(f domain.Filter, by []domain.Dimension) []domain.Dimension {
	return slices.DeleteFunc(domain.PrivateDimensions(), func(d domain.Dimension) bool {
		return f.Value(d) == "" && !slices.Contains(by, d)
	})
}

// decisive lists the breakdowns by which the days that a window touches are
// decided: of all calls, and of those under the filter, but for what it says of
// the dimension itself.
func decisive(scope domain.Scope, private []domain.Dimension) []domain.Selection {
	days := scope.Window.Days()
	selections := []domain.Selection{{Window: days, By: private}}
	for _, d := range private {
		rest := scope.Filter.Without(d)
		switch last := &selections[len(selections)-1]; rest {
		case domain.Filter{}:
		case last.Filter:
			last.By = append(last.By, d)
		default:
			selections = append(selections, domain.Selection{Window: days, Filter: rest, By: []domain.Dimension{d}})
		}
	}
	return selections
}

// hidden reports whether the filter names a country or version that the list of
// these, under the rest of the filter, folds: subtracting the answer from the
// list would find what it is folded with. A list of whole days folds no more
// than its days do.
func (u *Statistics) hidden(ctx context.Context, scope domain.Scope) (bool, error) {
	filter := scope.Filter
	for _, d := range domain.PrivateDimensions() {
		if filter.Value(d) == "" || scope.Window.Resolution == domain.Daily {
			continue
		}
		scope.Filter = filter.Without(d)
		list, err := u.selectFor(ctx, scope, parts{by: []domain.Dimension{d}})
		if err != nil {
			return false, err
		}
		if !list.Shows(d, filter.Value(d)) {
			return true, nil
		}
	}
	return false, nil
}
