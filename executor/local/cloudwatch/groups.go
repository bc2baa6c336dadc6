package cloudwatch

import (
	"net/http"
	"slices"
	"strings"

	"flow/executor/local/logstore"
)

const standard = "STANDARD"

var groupClasses = []string{standard, "INFREQUENT_ACCESS", "DELIVERY"}

type createLogGroupIn struct {
	LogGroupName              *string           `json:"logGroupName"`
	KMSKeyID                  *string           `json:"kmsKeyId"`
	LogGroupClass             *string           `json:"logGroupClass"`
	DeletionProtectionEnabled *bool             `json:"deletionProtectionEnabled"`
	Tags                      map[string]string `json:"tags"`
}

// createLogGroup makes a group. Tags are not kept: there is no operation that shows them.
func (h *Handler) createLogGroup(in *createLogGroupIn) (any, error) {
	var c checks
	c.required("logGroupName", in.LogGroupName, groupName)
	c.enum("logGroupClass", in.LogGroupClass, groupClasses...)
	if err := c.err(); err != nil {
		return nil, err
	}
	name := *in.LogGroupName
	switch {
	case strings.HasPrefix(name, "aws/"):
		return nil, invalid("Log groups starting with AWS/ are reserved for AWS.")
	case in.KMSKeyID != nil:
		return nil, invalid("The specified KMS key does not exist or is not allowed to be used with LogGroup '" + h.arn + name + "'")
	case or(in.DeletionProtectionEnabled, false):
		return nil, invalid("deletionProtectionEnabled is not supported by this endpoint")
	}
	return nil, h.store.CreateGroup(logstore.Group{Name: name, Class: or(in.LogGroupClass, standard)})
}

type groupIn struct {
	LogGroupName *string `json:"logGroupName"`
}

func (in *groupIn) check() error {
	var c checks
	c.required("logGroupName", in.LogGroupName, groupName)
	return c.err()
}

func (h *Handler) deleteLogGroup(in *groupIn) (any, error) {
	if err := in.check(); err != nil {
		return nil, err
	}
	return nil, h.store.DeleteGroup(*in.LogGroupName)
}

// retentions are the numbers of days that PutRetentionPolicy takes.
var retentions = []int{1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731, 1096, 1827, 2192, 2557, 2922, 3288, 3653}

type putRetentionPolicyIn struct {
	groupIn
	RetentionInDays *int `json:"retentionInDays"`
}

func (h *Handler) putRetentionPolicy(in *putRetentionPolicyIn) (any, error) {
	var c checks
	c.required("logGroupName", in.LogGroupName, groupName)
	if in.RetentionInDays == nil {
		c.fail("null", "retentionInDays", "not be null")
	}
	if err := c.err(); err != nil {
		return nil, err
	}
	if !slices.Contains(retentions, *in.RetentionInDays) {
		return nil, invalid("Invalid retention value. Please refer to documentation for supported values.")
	}
	return nil, h.store.SetRetention(*in.LogGroupName, *in.RetentionInDays)
}

func (h *Handler) deleteRetentionPolicy(in *groupIn) (any, error) {
	if err := in.check(); err != nil {
		return nil, err
	}
	return nil, h.store.SetRetention(*in.LogGroupName, 0)
}

// since returns the time before which the events of a group have expired. They are hidden
// at once, as the reference has it for storedBytes; their space is not given back.
func (h *Handler) since(group string) int64 {
	g, _ := h.store.Group(group)
	if g.Retention == 0 {
		return 0
	}
	return h.store.Now() - int64(g.Retention)*24*60*60*1000
}

type describeLogGroupsIn struct {
	LogGroupNamePrefix    *string  `json:"logGroupNamePrefix"`
	LogGroupNamePattern   *string  `json:"logGroupNamePattern"`
	LogGroupIdentifiers   []string `json:"logGroupIdentifiers"`
	LogGroupClass         *string  `json:"logGroupClass"`
	AccountIdentifiers    []string `json:"accountIdentifiers"`
	IncludeLinkedAccounts *bool    `json:"includeLinkedAccounts"`
	NextToken             *string  `json:"nextToken"`
	Limit                 *int     `json:"limit"`
}

type describeLogGroupsOut struct {
	LogGroups []logGroup `json:"logGroups"`
	NextToken *string    `json:"nextToken,omitempty"`
}

type logGroup struct {
	Arn          string `json:"arn"`
	CreationTime int64  `json:"creationTime"`
	LogGroupName string `json:"logGroupName"`
	*groupDetail
}

type groupDetail struct {
	DeletionProtectionEnabled bool   `json:"deletionProtectionEnabled"`
	LogGroupArn               string `json:"logGroupArn"`
	LogGroupClass             string `json:"logGroupClass"`
	MetricFilterCount         int    `json:"metricFilterCount"`
	RetentionInDays           int    `json:"retentionInDays,omitempty"`
	StoredBytes               int64  `json:"storedBytes"`
}

func (in *describeLogGroupsIn) check() error {
	var c checks
	c.text("logGroupNamePrefix", in.LogGroupNamePrefix, groupName)
	c.text("logGroupNamePattern", in.LogGroupNamePattern, groupPattern)
	c.enum("logGroupClass", in.LogGroupClass, groupClasses...)
	c.text("nextToken", in.NextToken, nextToken)
	number(&c, "limit", in.Limit, 1, 50)
	for i := range in.LogGroupIdentifiers {
		c.text("logGroupIdentifiers", &in.LogGroupIdentifiers[i], groupIdentifier)
	}
	if n := len(in.LogGroupIdentifiers); in.LogGroupIdentifiers != nil && (n < 1 || n > 50) {
		c.fail("'["+strings.Join(in.LogGroupIdentifiers, ", ")+"]'", "logGroupIdentifiers", "have length between 1 and 50")
	}
	if err := c.err(); err != nil {
		return err
	}
	if in.LogGroupNamePrefix != nil && in.LogGroupNamePattern != nil {
		return invalid("LogGroup name prefix and LogGroup name pattern are mutually exclusive parameters.")
	}
	if in.LogGroupIdentifiers != nil && (in.LogGroupNamePrefix != nil || in.LogGroupNamePattern != nil || in.LogGroupClass != nil) {
		return invalid("logGroupIdentifiers can be specified with includeLinkedAccounts only")
	}
	return nil
}

// describeLogGroups lists groups by name. There are no linked accounts.
func (h *Handler) describeLogGroups(in *describeLogGroupsIn) (any, error) {
	if err := in.check(); err != nil {
		return nil, err
	}
	after := ""
	if in.NextToken != nil {
		kind, p, err := positionOf(*in.NextToken)
		if err != nil || kind != 'g' {
			return nil, errToken
		}
		after = p.stream
	}
	out := &describeLogGroupsOut{LogGroups: []logGroup{}}
	for _, g := range h.store.Groups(or(in.LogGroupNamePrefix, "")) {
		if g.Name <= after || !h.asked(in, g) {
			continue
		}
		if len(out.LogGroups) == or(in.Limit, 50) {
			out.NextToken = position{stream: after}.token('g')
			break
		}
		after = g.Name
		out.LogGroups = append(out.LogGroups, h.show(g, in.LogGroupNamePattern != nil))
	}
	return out, nil
}

func (h *Handler) asked(in *describeLogGroupsIn, g logstore.Group) bool {
	return strings.Contains(g.Name, or(in.LogGroupNamePattern, "")) &&
		or(in.LogGroupClass, class(g)) == class(g) &&
		(in.LogGroupIdentifiers == nil || slices.ContainsFunc(in.LogGroupIdentifiers, func(id string) bool { return h.nameOf(id) == g.Name }))
}

func class(g logstore.Group) string {
	if g.Class == "" {
		return standard
	}
	return g.Class
}

// show returns a group as DescribeLogGroups has it, which with a pattern is briefly.
func (h *Handler) show(g logstore.Group, brief bool) logGroup {
	arn := h.arn + g.Name
	show := logGroup{Arn: arn + ":*", CreationTime: g.Created, LogGroupName: g.Name}
	if !brief {
		show.groupDetail = &groupDetail{LogGroupArn: arn, LogGroupClass: class(g), RetentionInDays: g.Retention}
	}
	return show
}

type streamIn struct {
	LogGroupName  *string `json:"logGroupName"`
	LogStreamName *string `json:"logStreamName"`
}

func (in *streamIn) check() error {
	var c checks
	c.required("logGroupName", in.LogGroupName, groupName)
	c.required("logStreamName", in.LogStreamName, streamName)
	return c.err()
}

func (h *Handler) createLogStream(in *streamIn) (any, error) {
	if err := in.check(); err != nil {
		return nil, err
	}
	return nil, h.store.CreateStream(*in.LogGroupName, *in.LogStreamName)
}

func (h *Handler) deleteLogStream(in *streamIn) (any, error) {
	if err := in.check(); err != nil {
		return nil, err
	}
	l, err := h.store.Log(*in.LogGroupName, *in.LogStreamName)
	if err != nil {
		return nil, err
	}
	l.Close()
	return nil, h.store.Remove(*in.LogGroupName, *in.LogStreamName)
}

var _ http.Handler = (*Handler)(nil)
