package bootstrap

// What tests of single parts need to see.
var (
	Maintain       = maintain
	NewHTTPServer  = newHTTPServer
	Background     = background
	RetentionOf    = Config.retention
	StatisticsOf   = Config.statistics
	ProcessOf      = Config.process
	NewFailures    = newFailures
	ServeWith      = webService.serve
	StopWebService = webService.stop
)

// WebService is the part that listens.
type WebService = webService
