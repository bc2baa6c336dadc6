package endpoint

import (
	"net"
	"net/http"
	"strings"
)

// Whoever can talk to the emulator can run commands as its user. So requests that a web
// page makes a browser send are refused; and with credentials, those that are not signed
// with them.

// guard returns the error of a request that is not let in, or nil.
func (s *Server) guard(r *http.Request, body []byte) error {
	if r.Header.Get("Origin") != "" || r.Header.Get("Sec-Fetch-Site") != "" {
		return forbidden("AccessDeniedException", "flow emulate does not answer web pages")
	}
	if s.credentials != nil {
		return s.credentials.verify(r, body, s.now())
	}
	if !isLoopback(r.Host) {
		return forbidden("AccessDeniedException", "flow emulate answers on loopback only, and not as "+r.Host+"; start it with --credentials to change that")
	}
	return nil
}

func forbidden(code, message string) error { return &apiError{http.StatusForbidden, code, message} }

// isLoopback reports whether the host of a request is this machine's own: a name that
// somebody else's DNS may have made lead here is not.
func isLoopback(host string) bool {
	if h, _, err := net.SplitHostPort(host); err == nil {
		host = h
	}
	host = strings.Trim(host, "[]")
	if host == "localhost" || strings.HasSuffix(host, ".localhost") {
		return true
	}
	ip := net.ParseIP(host)
	return ip != nil && ip.IsLoopback()
}
