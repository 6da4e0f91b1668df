package app

import (
	"context"
	"slices"

	"github.com/weather-mcp/weather-mcp-analytics/domain"
)

// protect finds out which countries and versions the answer may name, as far as the
// answer itself does not decide. It comes before the answer is read: counts grow, so
// what was large enough to be named stays so.
func (u *Statistics) protect(ctx context.Context, scope *domain.Scope, by []domain.Dimension) error {
	if scope.PrivacyMinCount == 0 {
		return nil
	}
	for _, s := range decisive(*scope, privateIn(scope.Filter, by)) {
		selected, err := u.selection(ctx, s)
		if err != nil {
			return err
		}
		scope.Decisive = append(scope.Decisive, selected)
	}
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
// the dimension itself. Those that the answer has are not listed.
func decisive(scope domain.Scope, private []domain.Dimension) []domain.Selection {
	var selections []domain.Selection
	want := func(f domain.Filter, by domain.Dimension) {
		if f == scope.Filter && scope.Window.Resolution == domain.Daily {
			return
		}
		if last := len(selections) - 1; last >= 0 && selections[last].Filter == f {
			selections[last].By = append(selections[last].By, by)
			return
		}
		selections = append(selections, domain.Selection{Window: scope.Window.Days(), Filter: f, By: []domain.Dimension{by}})
	}
	for _, by := range private {
		want(domain.Filter{}, by)
	}
	for _, by := range private {
		if rest := scope.Filter.Without(by); rest != (domain.Filter{}) {
			want(rest, by)
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
