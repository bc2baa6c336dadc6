package endpoint

import (
	"errors"
	"fmt"
	"net/http"

	"flow/executor"
)

// An apiError is an error as AWS tells it.
type apiError struct {
	status  int
	code    string // of the header X-Amzn-ErrorType
	message string
}

func (e *apiError) Error() string { return e.code + ": " + e.message }

// refuse returns a ClientException (400): the client's mistake.
func refuse(format string, args ...any) error {
	return executor.Refusal(fmt.Sprintf(format, args...))
}

// asAPIError returns how an error is told to the client. What is no refusal is an error
// of the service.
func asAPIError(err error, requestID string) *apiError {
	var own *apiError
	if errors.As(err, &own) {
		return own
	}
	var refusal executor.Refusal
	if errors.As(err, &refusal) {
		return &apiError{http.StatusBadRequest, "ClientException", wrap(string(refusal), requestID)}
	}
	return &apiError{http.StatusInternalServerError, "ServerException", wrap(err.Error(), requestID)}
}

// wrap puts around a text what AWS puts around it (seen of the service).
func wrap(text, requestID string) string {
	return "Error executing request, Exception : " + text + ", RequestId: " + requestID
}

var errThrottled = &apiError{http.StatusTooManyRequests, "TooManyRequestsException", "Too Many Requests"}
