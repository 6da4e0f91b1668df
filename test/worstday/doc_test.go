// Package worstday_test sends what the default limits allow one address in a day, in
// the shape that takes the most room in the aggregates.
package worstday_test

import (
	"testing"

	"github.com/weather-mcp/weather-mcp-analytics/test/servers"
)

func TestMain(m *testing.M) { servers.Main(m) }
