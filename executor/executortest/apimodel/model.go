package apimodel

import (
	"compress/gzip"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
)

// A Model describes the API of one or more services.
type Model struct {
	services []*service
}

// A service is what a service-2.json says of a service.
type service struct {
	Metadata struct {
		Protocol     string `json:"protocol"` // rest-json, or json: X-Amz-Target
		JSONVersion  string `json:"jsonVersion"`
		TargetPrefix string `json:"targetPrefix"`
		ServiceID    string `json:"serviceId"`
	} `json:"metadata"`
	Operations map[string]*operation `json:"operations"`
	Shapes     map[string]*shape     `json:"shapes"`
}

type operation struct {
	Name string `json:"name"`
	HTTP struct {
		Method string `json:"method"`
		URI    string `json:"requestUri"`
		Status int    `json:"responseCode"` // 0: 200
	} `json:"http"`
	Input  *member  `json:"input"`
	Output *member  `json:"output"`
	Errors []member `json:"errors"`
}

// A member refers to a shape, and says where it is in a request.
type member struct {
	Shape    string `json:"shape"`
	Location string `json:"location"` // "": the body; uri, querystring
	Name     string `json:"locationName"`
}

type shape struct {
	Type     string            `json:"type"`
	Required []string          `json:"required"`
	Members  map[string]member `json:"members"`
	Member   *member           `json:"member"` // of a list
	Key      *member           `json:"key"`    // of a map
	Value    *member           `json:"value"`
	Enum     []string          `json:"enum"`
	Min      *float64          `json:"min"`
	Max      *float64          `json:"max"`
	Pattern  string            `json:"pattern"`
	Error    *struct {
		Status int `json:"httpStatusCode"`
	} `json:"error"`

	pattern *regexp.Regexp // of the whole value; nil: none, or one that Go cannot express
}

// Load reads the descriptions of the services, such as batch and logs, from the data
// directory of botocore: of each its newest version.
func Load(data string, services ...string) (*Model, error) {
	m := &Model{}
	for _, name := range services {
		versions, err := filepath.Glob(filepath.Join(data, name, "*-*-*"))
		if err != nil || len(versions) == 0 {
			return nil, fmt.Errorf("no description of %s in %s", name, data)
		}
		text, err := read(filepath.Join(versions[len(versions)-1], "service-2.json"))
		if err != nil {
			return nil, err
		}
		s, err := parse(text)
		if err != nil {
			return nil, fmt.Errorf("description of %s: %w", name, err)
		}
		m.services = append(m.services, s)
	}
	return m, nil
}

// read returns the contents of path, or of path.gz.
func read(path string) ([]byte, error) {
	text, err := os.ReadFile(path)
	if !errors.Is(err, fs.ErrNotExist) {
		return text, err
	}
	f, err := os.Open(path + ".gz")
	if err != nil {
		return nil, err
	}
	defer f.Close()
	z, err := gzip.NewReader(f)
	if err != nil {
		return nil, err
	}
	return io.ReadAll(z)
}

func parse(text []byte) (*service, error) {
	s := &service{}
	if err := json.Unmarshal(text, s); err != nil {
		return nil, err
	}
	for _, sh := range s.Shapes {
		if sh.Pattern != "" {
			sh.pattern, _ = regexp.Compile(`^(?:` + sh.Pattern + `)$`) // lookaheads are not Go's
		}
	}
	return s, nil
}

// Operations returns the names of the operations of a service, by its serviceId.
func (m *Model) Operations(serviceID string) []string {
	for _, s := range m.services {
		if s.Metadata.ServiceID == serviceID {
			return slices.Sorted(maps.Keys(s.Operations))
		}
	}
	return nil
}

// find returns the operation of a request and, if its path has one, the value in it.
func (m *Model) find(x *Exchange) (*service, *operation, map[string]string) {
	for _, s := range m.services {
		for _, op := range s.Operations {
			if s.Metadata.TargetPrefix != "" {
				if x.RequestHeader.Get("X-Amz-Target") == s.Metadata.TargetPrefix+"."+op.Name {
					return s, op, nil
				}
			} else if values, ok := match(op.HTTP.URI, x.Path); ok && x.Method == op.HTTP.Method {
				return s, op, values
			}
		}
	}
	return nil, nil, nil
}

// match compares an escaped path with a template such as /v1/tags/{resourceArn}.
func match(template, path string) (map[string]string, bool) {
	want, got := strings.Split(template, "/"), strings.Split(path, "/")
	if len(want) != len(got) {
		return nil, false
	}
	values := map[string]string{}
	for i, w := range want {
		switch {
		case strings.HasPrefix(w, "{") && got[i] != "":
			values[strings.Trim(w, "{}+")] = got[i]
		case w != got[i]:
			return nil, false
		}
	}
	return values, true
}
