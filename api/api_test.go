package api_test

import (
	"io/fs"
	"testing"

	"github.com/weather-mcp/weather-mcp-analytics/api"
	"github.com/weather-mcp/weather-mcp-analytics/test/openapi"
)

func TestExamplesFitTheirSchemas(t *testing.T) {
	document, err := openapi.Load(api.Document())
	if err != nil {
		t.Fatal(err)
	}
	if err := document.CheckExamples(); err != nil {
		t.Error(err)
	}
}

func TestDocsAreThere(t *testing.T) {
	for _, name := range []string{"index.html", "swagger-ui-bundle.js.gz", "swagger-ui-LICENSE.txt"} {
		if _, err := fs.Stat(api.Docs(), name); err != nil {
			t.Error(err)
		}
	}
}
