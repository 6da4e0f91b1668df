// Package codegen_test uses what oapi-codegen generates from api/openapi.yaml.
// Run it by make codegen-check, which generates it before.
package codegen_test

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"slices"
	"testing"

	"codegen.test/client"
	"codegen.test/server"
	"github.com/gin-gonic/gin"
)

const all = `{
  "period": "24h", "start_date": "2026-11-22T10:00:00Z", "end_date": "2026-11-23T11:00:00Z",
  "overview": {"summary": {"total_calls": 7, "success_rate": 0.8571}, "tools": [{"name": "get_alerts", "calls": 7}]},
  "toolUsage": [{"timestamp": "2026-11-23T10:00:00Z", "get_alerts": 7}],
  "performance": {"by_tool": {"get_alerts": {"p95": 184.5}}, "timeline": [{"timestamp": "2026-11-23T10:00:00Z", "p95": 184.5}]}
}`

// statistics answers as the server does; what it has no answer for panics.
type statistics struct{ server.ServerInterface }

func (statistics) GetAll(c *gin.Context, params server.GetAllParams) {
	if params.Country == nil || *params.Country != "US" {
		c.Status(http.StatusBadRequest)
		return
	}
	c.Data(http.StatusOK, "application/json", []byte(all))
}

func TestGeneratedClientReadsWhatTheGeneratedServerAnswers(t *testing.T) {
	gin.SetMode(gin.ReleaseMode)
	engine := gin.New()
	server.RegisterHandlers(engine, statistics{})
	listener := httptest.NewServer(engine)
	t.Cleanup(listener.Close)
	api, err := client.NewClientWithResponses(listener.URL)
	if err != nil {
		t.Fatal(err)
	}
	period, country := client.Period("24h"), client.CountryFilter("US")
	answer, err := api.GetAllWithResponse(t.Context(), &client.GetAllParams{Period: &period, Country: &country})
	if err != nil {
		t.Fatal(err)
	}
	got := answer.JSON200
	switch {
	case got == nil:
		t.Fatalf("status %d", answer.StatusCode())
	case got.Overview.Summary.TotalCalls != 7 || got.StartDate.Hour() != 10:
		t.Errorf("overview is %+v since %v", got.Overview.Summary, got.StartDate)
	case len(got.ToolUsage) != 1 || got.ToolUsage[0].AdditionalProperties["get_alerts"] != 7 || got.ToolUsage[0].Timestamp.Hour() != 10:
		t.Errorf("toolUsage is %+v", got.ToolUsage)
	case len(got.Performance.Timeline) != 1 || got.Performance.Timeline[0].P95 != 184.5 || got.Performance.ByTool["get_alerts"].P95 != 184.5:
		t.Errorf("performance is %+v", got.Performance)
	}
}

// A parameter of a call is text, a number or a boolean.
func TestGeneratedEventHoldsParametersOfEveryType(t *testing.T) {
	const sent = `{"days":3,"metric":true,"units":"metric"}`
	var parameters map[string]client.ParameterValue
	if err := json.Unmarshal([]byte(sent), &parameters); err != nil {
		t.Fatal(err)
	}
	event := client.Event{Parameters: &parameters}
	encoded, err := json.Marshal(event)
	if err != nil {
		t.Fatal(err)
	}
	var read struct{ Parameters json.RawMessage }
	if err := json.Unmarshal(encoded, &read); err != nil || !slices.Equal(read.Parameters, []byte(sent)) {
		t.Errorf("parameters are sent as %s: %v", read.Parameters, err)
	}
}
