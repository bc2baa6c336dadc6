package endpoint

import (
	"net/http"
	"slices"
	"strings"
)

// operations are those of the service that are here, by name.
var operations = map[string]*operation{}

// byPath are the operations whose request is all in the body, by the path that they are
// POSTed to: /v1/ and the name in lower case.
var byPath = map[string]*operation{}

func init() {
	for _, op := range slices.Concat(resourceOperations, jobOperations) {
		byPath["/v1/"+strings.ToLower(op.name)] = &op
		operations[op.name] = &op
	}
	for _, op := range slices.Concat(tagOperations, adminOperations) {
		operations[op.name] = &op
	}
}

// elsewhere are the operations of the service that are not here, by path: those of
// SageMaker's service jobs.
var elsewhere = map[string]string{}

func init() {
	for _, name := range []string{
		"SubmitServiceJob", "DescribeServiceJob", "ListServiceJobs", "TerminateServiceJob", "TerminateServiceJobs", "UpdateServiceJob",
		"CreateServiceEnvironment", "UpdateServiceEnvironment", "DeleteServiceEnvironment", "DescribeServiceEnvironments",
		"CreateQuotaShare", "UpdateQuotaShare", "DeleteQuotaShare", "DescribeQuotaShare", "ListQuotaShares",
	} {
		elsewhere["/v1/"+strings.ToLower(name)] = name
	}
}

// route returns the operation that a request is for, and its input where that is not
// the body.
func route(r *http.Request, body []byte) (*operation, []byte, error) {
	path := r.URL.EscapedPath()
	if arn, ok := strings.CutPrefix(path, "/v1/tags/"); ok {
		return routeTags(r, arn, body)
	}
	if r.Method == http.MethodPost {
		if op := byPath[path]; op != nil {
			return op, body, nil
		}
		if name, ok := elsewhere[path]; ok {
			return nil, nil, refuse("%s is for jobs of SageMaker, which flow emulate does not run", name)
		}
	}
	return nil, nil, &apiError{http.StatusNotFound, "UnknownOperationException", "flow emulate does not know the operation " + r.Method + " " + path}
}
