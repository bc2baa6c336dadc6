// Package endpoint is the REST-JSON API of AWS Batch in front of an embedded one, so
// that the AWS CLI, boto3 and every SDK can talk to it. docs/emulate.md says what it
// does as AWS does and what it does not.
//
// The way of a request:
//
//	http.Request -> route -> decode into the SDK's own Input type -> operation -> Output type -> encode
//
// An operation that changes something runs as one input of the [local.Batch]: what it
// may use is the request, the time and one new id, so that it can be journaled and run
// again. The types of requests and answers are those of aws-sdk-go-v2, which are made
// from AWS's own model of the service: they cannot drift from it.
package endpoint
