// Package trust brings the certificates of authorities to where TLS needs them: images of
// tasks often have none.
package trust

import (
	"bytes"
	"crypto/x509"
	"os"
)

// Authorities returns the certificates of authorities that this machine trusts, in PEM, from
// where Go's crypto/x509 looks for them on Linux and macOS; nil if there are none.
func Authorities() []byte {
	for _, path := range []string{
		os.Getenv("SSL_CERT_FILE"), "/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt", "/etc/ssl/ca-bundle.pem",
		"/etc/pki/tls/cacert.pem", "/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem", "/etc/ssl/cert.pem",
	} {
		if b, err := os.ReadFile(path); err == nil && bytes.Contains(b, []byte("-----BEGIN CERTIFICATE-----")) {
			return b
		}
	}
	return nil
}

// Fallback has this process trust the authorities of a file, unless the system has some of
// its own. Without the file nothing changes. It is for one call in a process, see
// x509.SetFallbackRoots.
func Fallback(path string) {
	if Authorities() != nil {
		return // and no time is lost
	}
	b, err := os.ReadFile(path)
	if err != nil {
		return
	}
	if pool := x509.NewCertPool(); pool.AppendCertsFromPEM(b) {
		x509.SetFallbackRoots(pool)
	}
}
