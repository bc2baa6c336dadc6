package endpoint

import (
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"net/http"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
)

// Credentials are what requests must be signed with (AWS Signature Version 4).
type Credentials struct {
	AccessKeyID     string
	SecretAccessKey string
}

const (
	signatureScheme = "AWS4-HMAC-SHA256 "
	signatureTime   = "20060102T150405Z"
	maxSkew         = 5 * time.Minute // of the client's clock
)

// verify returns the error of AWS for a request that is not signed with c.
func (c *Credentials) verify(r *http.Request, body []byte, now time.Time) error {
	fields, ok := strings.CutPrefix(r.Header.Get("Authorization"), signatureScheme)
	if !ok {
		return forbidden("MissingAuthenticationTokenException", "Missing Authentication Token")
	}
	part := map[string]string{}
	for f := range strings.SplitSeq(fields, ",") {
		k, v, _ := strings.Cut(strings.TrimSpace(f), "=")
		part[k] = v
	}
	scope := strings.Split(part["Credential"], "/") // key/date/region/service/aws4_request
	at, err := time.Parse(signatureTime, r.Header.Get("X-Amz-Date"))
	switch {
	case len(scope) != 5 || err != nil:
		return forbidden("IncompleteSignatureException", "The Authorization header or X-Amz-Date is not as Signature Version 4 has it")
	case scope[0] != c.AccessKeyID:
		return forbidden("UnrecognizedClientException", "The security token included in the request is invalid.")
	case now.Sub(at).Abs() > maxSkew:
		return forbidden("InvalidSignatureException", "Signature expired or not yet current: "+at.String())
	}
	want, err := c.sign(r, body, scope[2], scope[3], strings.Split(part["SignedHeaders"], ";"), at)
	if err != nil || subtle.ConstantTimeCompare([]byte(want), []byte(part["Signature"])) != 1 {
		return forbidden("InvalidSignatureException", "The request signature we calculated does not match the signature you provided.")
	}
	return nil
}

// sign returns the signature of a request over those headers.
func (c *Credentials) sign(r *http.Request, body []byte, region, service string, headers []string, at time.Time) (string, error) {
	again := &http.Request{Method: r.Method, URL: r.URL, Host: r.Host, Header: http.Header{}}
	for _, h := range headers {
		switch h {
		case "host":
		case "content-length":
			again.ContentLength = r.ContentLength
		default:
			again.Header[http.CanonicalHeaderKey(h)] = r.Header.Values(h)
		}
	}
	u := *r.URL
	u.Host = r.Host
	again.URL = &u
	sum := sha256.Sum256(body)
	creds := aws.Credentials{AccessKeyID: c.AccessKeyID, SecretAccessKey: c.SecretAccessKey, SessionToken: r.Header.Get("X-Amz-Security-Token")}
	if err := v4.NewSigner().SignHTTP(r.Context(), creds, again, hex.EncodeToString(sum[:]), service, region, at); err != nil {
		return "", err
	}
	_, signature, _ := strings.Cut(again.Header.Get("Authorization"), "Signature=")
	return signature, nil
}
