package httpapi

// RoutesOf lists the routes of a server, such as GET /v1/stats/tool/:name.
func RoutesOf(s *Server) []string {
	var routes []string
	for _, route := range s.engine.Routes() {
		routes = append(routes, route.Method+" "+route.Path)
	}
	return routes
}
