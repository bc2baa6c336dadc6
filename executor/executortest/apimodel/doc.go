// Package apimodel checks HTTP exchanges with AWS Batch and CloudWatch Logs against the
// descriptions that AWS generates its own clients from: the service-2.json files that
// come with botocore.
//
// Of each exchange it checks which operation it is (by method and path, or by the header
// X-Amz-Target), and of what was accepted the members, JSON types, enumerations, lengths,
// ranges and patterns of the request, and of every answer its status, headers, members,
// JSON types and enumerations, and the code of an error. A Recorder stands between client
// and server, and keeps what they say.
package apimodel
