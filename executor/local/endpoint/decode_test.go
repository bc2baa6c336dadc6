package endpoint

import (
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/service/batch"
)

func TestDecodeRefuses(t *testing.T) {
	for _, test := range []struct{ name, body, want string }{
		{"no JSON", `{"jobName":`, "not valid JSON"},
		{"more than one value", `{} {}`, "not valid JSON"},
		{"a list", `[]`, "should be a JSON object"},
		{"null", `null`, "should be a JSON object"},
		{"a number for a string", `{"jobName":1}`, "jobName should be a string, got number"},
		{"a string for a number", `{"arrayProperties":{"size":"5"}}`, "arrayProperties.size should be an integer, got string"},
		{"a fraction for an integer", `{"arrayProperties":{"size":1.0}}`, "arrayProperties.size should be an integer, got number 1.0"},
		{"a number too large", `{"arrayProperties":{"size":3000000000}}`, "arrayProperties.size should be an integer"},
		{"an object for a list", `{"dependsOn":{}}`, "dependsOn should be a list"},
		{"an unknown value of an enumeration", `{"dependsOn":[{"type":"SOMEHOW"}]}`, `"SOMEHOW" is not a valid value of dependsOn.type: it is one of N_TO_N, SEQUENTIAL`},
		{"deep nesting", strings.Repeat(`{"a":`, 20_000), "not valid JSON"},
	} {
		t.Run(test.name, func(t *testing.T) {
			err := decode([]byte(test.body), new(batch.SubmitJobInput))
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("decode = %v, want something with %q", err, test.want)
			}
			if e := asAPIError(err, "id"); e.code != "ClientException" || e.status != 400 {
				t.Errorf("it is told as %d %s, want 400 ClientException", e.status, e.code)
			}
		})
	}
}

func TestDecodeAccepts(t *testing.T) {
	for _, test := range []struct{ name, body string }{
		{"no body", ``},
		{"white space", " \n"},
		{"no members", `{}`},
		{"members that are not known", `{"jobName":"a","somethingNew":{"x":[1]}}`},
		{"null", `{"jobName":null,"arrayProperties":null}`},
		{"an action in lower case", `{"retryStrategy":{"attempts":1,"evaluateOnExit":[{"onExitCode":"1","action":"retry"}]}}`},
	} {
		t.Run(test.name, func(t *testing.T) {
			if err := decode([]byte(test.body), new(batch.SubmitJobInput)); err != nil {
				t.Error(err)
			}
		})
	}
}
