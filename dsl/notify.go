package dsl

import (
	"errors"
	"fmt"
	"net"
	"net/mail"
	"net/textproto"
	"slices"
	"strings"
	"time"

	"github.com/hashicorp/hcl/v2"
	"github.com/zclconf/go-cty/cty"

	"flow/engine"
)

// maxNoticeTimeout bounds a try to send a message: who claims one to send it has it for not
// much longer.
const maxNoticeTimeout = time.Minute

// A noticeConfig is a `notify` block.
type noticeConfig struct {
	blockConfig
	name       string
	ways       []*wayConfig
	incomplete bool // an error in it may have hidden an argument
}

// A wayConfig is a block of it: how messages go out.
type wayConfig struct {
	blockConfig
	kind       engine.WayKind
	incomplete bool
}

// everything calls f for each argument.
func (n *noticeConfig) everything(f func(*arg)) {
	for _, a := range n.args {
		f(a)
	}
	for _, w := range n.ways {
		for _, a := range w.args {
			f(a)
		}
	}
}

func (d *decoder) notifyBlock(b *hcl.Block) {
	n := &noticeConfig{blockConfig: blockConfig{rng: b.DefRange}, name: b.Labels[0]}
	ok := d.name(b, n.name, b.LabelRanges[0])
	as, blocks, diags := d.block(b.Body, notifyArgs, notifyBlocks...)
	n.args, n.incomplete = as, diags.HasErrors() || d.isBroken(bodyRange(b))
	for _, w := range blocks {
		kind := engine.WayKind(w.Type)
		as, _, diags := d.block(w.Body, wayArgs[kind])
		n.ways = append(n.ways, &wayConfig{blockConfig{w.DefRange, as}, kind, diags.HasErrors() || d.isBroken(bodyRange(w))})
	}
	if len(n.ways) == 0 && !n.incomplete {
		d.errorf(b.DefRange, "Missing block", "Notice %q says nobody whom to tell. Add one of the blocks %s to it.", n.name, noticeWays())
	}
	if n.get("on") == nil && !n.incomplete {
		d.errorf(b.DefRange, "Missing required argument", "Notice %q does not say when to tell. Add: on = [\"failed\", \"recovered\"].", n.name)
	}
	if ok {
		d.p.notices = append(d.p.notices, n)
	}
}

// noticeWays names the blocks of notify.
func noticeWays() string {
	var names []string
	for _, b := range notifyBlocks {
		names = append(names, b.Type)
	}
	return list(names, "or")
}

// Notices returns the notices as far as these values of variables decide them, for what is told
// without a run: a slot that is missed. Ways that need other values are left out.
func (p *Program) Notices(in VarInput) (all []*engine.Notice) {
	wf, _ := p.Sketch(in, RunContext{})
	for _, n := range wf.Notices {
		n.Ways = slices.DeleteFunc(n.Ways, func(w engine.NoticeWay) bool { return !leads(&w) })
		if len(n.On) > 0 && len(n.Ways) > 0 {
			all = append(all, n)
		}
	}
	return all
}

// leads reports whether it is known where a way leads.
func leads(w *engine.NoticeWay) bool {
	return w.URL != engine.Told{} || w.Topic != "" || len(w.Argv) > 0 && !slices.Contains(w.Argv, "") || w.Server != "" && len(w.To) > 0
}

// checkNotices evaluates the notices, as far as values are known in ev.
func (p *Program) checkNotices(ev *evaluator) (all []*engine.Notice, diags hcl.Diagnostics) {
	for _, c := range p.notices {
		var names nameSet
		c.everything(func(a *arg) { names.of(&a.refs) })
		t := &task{ev: ev, ctx: ev.context(names), spec: &engine.TaskSpec{}}
		n := &engine.Notice{Name: c.name, On: t.occasions(c.get("on"))}
		for _, w := range c.ways {
			n.Ways = append(n.Ways, t.way(w))
		}
		all = append(all, n)
		diags = append(diags, t.diags...)
	}
	return all, diags
}

// occasions reads a list of what is to be told.
func (t *task) occasions(a *arg) (out []engine.Occasion) {
	if a == nil {
		return nil
	}
	words, _ := t.words(a)
	names := make([]string, len(engine.Occasions))
	for i, o := range engine.Occasions {
		names[i] = string(o)
	}
	for _, w := range words {
		o := engine.Occasion(w)
		switch {
		case w == "": // it is not known
		case !slices.Contains(names, w):
			t.errorf(a.expr.Range(), "on: %q is nothing that happens to a run; there are %s.%s", w, list(names, "and"), suggest(w, names))
		case !slices.Contains(out, o):
			out = append(out, o)
		}
	}
	return out
}

// way reads a block of a notice.
func (t *task) way(c *wayConfig) engine.NoticeWay {
	w := engine.NoticeWay{Kind: c.kind}
	if a := c.get("timeout"); a != nil {
		d, ok := value(t, a, toDuration)
		if w.Timeout = d; ok && d > maxNoticeTimeout {
			t.errorf(a.expr.Range(), "timeout: a message is tried for %s at most at a time, and again later.", maxNoticeTimeout)
		}
	}
	switch c.kind {
	case engine.WayCommand:
		t.commandWay(c, &w)
	case engine.WayWebhook:
		t.webhookWay(c, &w)
	case engine.WaySlack:
		if a := t.required(c, "webhook", `"env:SLACK_WEBHOOK"`); a != nil {
			w.URL.Secret = t.secretName(a)
		}
	case engine.WaySNS:
		if a := t.required(c, "topic", `"arn:aws:sns:eu-central-1:123456789012:alarms"`); a != nil {
			w.Topic, _ = value(t, a, toTopic)
		}
	case engine.WayEmail:
		t.emailWay(c, &w)
	}
	return w
}

// required returns an argument that must be there, or nil.
func (t *task) required(c *wayConfig, name, example string) *arg {
	a := c.get(name)
	if a == nil && !c.incomplete {
		t.diags = append(t.diags, errorf(c.rng, "Missing required argument", "A %s block needs %s. Add: %[2]s = %s.", c.kind, name, example))
	}
	return a
}

func (t *task) commandWay(c *wayConfig, w *engine.NoticeWay) {
	w.Dir = t.ev.p.dir
	a := t.required(c, "argv", `["./tell.sh"]`)
	if a == nil {
		return
	}
	var ok bool
	if w.Argv, ok = t.words(a); ok && len(w.Argv) == 0 {
		t.errorf(a.expr.Range(), "argv is a program and its arguments, and there is no program. The message is on its standard input, as JSON.")
	}
}

func (t *task) webhookWay(c *wayConfig, w *engine.NoticeWay) {
	if a := t.required(c, "url", `"https://hooks.example.org/flow"`); a != nil {
		told, ok := t.told(a, a.expr)
		w.URL = told
		if ok && told.Text != "" {
			if err := CheckEndpoint(told.Text); err != nil {
				t.errorf(a.expr.Range(), "url: %q is no address such as \"https://hooks.example.org/flow\". An address that is itself a secret is named: \"env:NAME\", \"file:PATH\", or a sensitive variable.", told.Text)
			}
		}
	}
	if a := c.get("secret"); a != nil {
		w.Key = t.secretName(a)
	}
	if a := c.get("headers"); a != nil {
		w.Headers = t.headers(a)
	}
}

// ownHeaders are those that flow sets itself, beside all that begin with webhookHeader.
var ownHeaders = []string{"Content-Type", "Content-Length", "Host", "User-Agent"}

const webhookHeader = "Webhook-"

// headerPattern is a token of HTTP (RFC 9110, 5.6.2).
var headerPattern = lazily("^[!#$%&'*+.^_`|~0-9A-Za-z-]+$")

func (t *task) headers(a *arg) map[string]engine.Told {
	pairs, diags := hcl.ExprMap(a.expr)
	if diags.HasErrors() {
		t.errorf(a.expr.Range(), "headers is written out: headers = { Authorization = var.token }.")
		return nil
	}
	out := map[string]engine.Told{}
	for _, p := range pairs {
		key, diags := t.ev.p.budget.value(p.Key, t.ctx)
		t.diags = append(t.diags, diags...)
		name, err := toText(key)
		switch canonical := textproto.CanonicalMIMEHeaderKey(name); {
		case diags.HasErrors():
		case err != nil:
			t.wrong(a.name, p.Key.Range(), err)
		case !headerPattern().MatchString(name):
			t.errorf(p.Key.Range(), "headers: %q cannot be the name of a header.", name)
		case slices.Contains(ownHeaders, canonical), strings.HasPrefix(canonical, webhookHeader):
			t.errorf(p.Key.Range(), "headers: flow itself sets %s.", canonical)
		default:
			told, ok := t.told(a, p.Value)
			if strings.ContainsAny(told.Text, "\r\n\x00") {
				t.errorf(p.Value.Range(), "headers: the value of %s must be one line.", name)
				ok = false
			}
			if ok {
				out[canonical] = told
			}
		}
	}
	return out
}

func (t *task) emailWay(c *wayConfig, w *engine.NoticeWay) {
	w.TLS = engine.TLSStart
	if a := c.get("tls"); a != nil {
		if s, ok := value(t, a, oneOf(string(engine.TLSStart), string(engine.TLSImplicit), string(engine.TLSNone))); ok {
			w.TLS = engine.MailTLS(s)
		}
	}
	if a := t.required(c, "server", `"smtp.example.org"`); a != nil {
		w.Server, _ = value(t, a, func(v cty.Value) (string, error) { return toServer(v, w.TLS) })
	}
	if a := t.required(c, "from", `"flow@example.org"`); a != nil {
		w.From, _ = value(t, a, toAddress)
	}
	if a := t.required(c, "to", `["oncall@example.org"]`); a != nil {
		w.To = t.addresses(a)
	}
	user, password := c.get("user"), c.get("password")
	if user != nil {
		w.User, _ = t.told(user, user.expr)
	}
	if password != nil {
		w.Password = t.secretName(password)
	}
	switch {
	case (user == nil) != (password == nil):
		t.errorf(c.rng, "A login has both a user and a password. Give both, or neither.")
	case user != nil && w.TLS == engine.TLSNone:
		t.errorf(user.nameRange, "A password would go over the network in the clear. Leave tls out, or user and password.")
	}
}

func (t *task) addresses(a *arg) (out []string) {
	elements, ok := value(t, a, toElements)
	if ok && len(elements) == 0 {
		t.errorf(a.expr.Range(), "to: there is nobody in the list.")
	}
	for _, v := range elements {
		s, err := toAddress(v)
		if err != nil {
			t.wrong(a.name, a.expr.Range(), err)
			continue
		}
		out = append(out, s)
	}
	return out
}

// toAddress reads a mail address, with or without a name before it.
func toAddress(v cty.Value) (string, error) {
	s, err := toText(v)
	if err != nil {
		return "", err
	}
	if _, err := mail.ParseAddress(s); err != nil {
		return "", fmt.Errorf("%q is no mail address, such as \"oncall@example.org\"", s)
	}
	return s, nil
}

// mailPorts are the ports of mail servers (RFC 6409, RFC 8314).
var mailPorts = map[engine.MailTLS]string{engine.TLSStart: "587", engine.TLSImplicit: "465", engine.TLSNone: "25"}

// toServer reads the name of a mail server, with or without a port.
func toServer(v cty.Value, tls engine.MailTLS) (string, error) {
	s, err := toText(v)
	if err != nil {
		return "", err
	}
	if host, port, err := net.SplitHostPort(s); err == nil && host != "" && port != "" {
		return s, nil
	}
	if s == "" || strings.ContainsAny(s, ":/@[] ") {
		return "", fmt.Errorf("%q is no mail server, such as \"smtp.example.org\" or \"smtp.example.org:587\"", s)
	}
	return net.JoinHostPort(s, mailPorts[tls]), nil
}

var topicPattern = lazily(`^arn:aws[a-z-]*:sns:[a-z0-9-]+:[0-9]{12}:[A-Za-z0-9_-]{1,256}(\.fifo)?$`)

// toTopic reads the ARN of a topic of Amazon SNS.
func toTopic(v cty.Value) (string, error) {
	s, err := toText(v)
	switch {
	case err != nil:
		return "", err
	case !topicPattern().MatchString(s):
		return "", fmt.Errorf("%q is no ARN of a topic, such as \"arn:aws:sns:eu-central-1:123456789012:alarms\"", s)
	case strings.HasSuffix(s, ".fifo"):
		return "", errors.New("a FIFO topic is for programs; name a standard topic")
	}
	return s, nil
}

// secretName reads an argument that names a secret.
func (t *task) secretName(a *arg) string {
	told, ok := t.told(a, a.expr)
	if ok && told.Text != "" {
		t.errorf(a.expr.Range(), "%s: this says where the secret is to be read: \"env:NAME\" (a variable of flow's own environment), \"file:PATH\", or var.<name> with a sensitive variable. Its text itself does not belong here.", a.name)
	}
	return told.Secret
}

// told reads a text, or the name of a secret. It is not ok after a mistake, and if the value
// is not known yet.
func (t *task) told(a *arg, expr hcl.Expression) (engine.Told, bool) {
	if v := t.ev.p.variableOf(expr); v != nil && v.Sensitive {
		return engine.Told{Secret: "var:" + v.Name}, true
	}
	val, diags := t.ev.eval(&arg{expr: expr, refs: a.refs}, t.ctx)
	if diags.HasErrors() {
		t.diags = append(t.diags, diags...)
		return engine.Told{}, false
	}
	s, err := toText(val)
	switch {
	case errors.Is(err, errSensitive):
		t.errorf(expr.Range(), "%s: a secret is named, never computed: write var.<name> with a sensitive variable, or a text \"env:NAME\" or \"file:PATH\".", a.name)
		return engine.Told{}, false
	case err != nil:
		t.wrong(a.name, expr.Range(), err)
		return engine.Told{}, false
	}
	switch kind, rest, _ := strings.Cut(s, ":"); {
	case kind == "env" && checkEnvName(rest, true) == "":
		return engine.Told{Secret: s}, true
	case kind == "file" && rest != "":
		return engine.Told{Secret: "file:" + t.ev.p.abs(rest)}, true
	case kind == "env", kind == "file":
		t.errorf(expr.Range(), "%s: %q names no secret: write \"env:NAME\" or \"file:PATH\".", a.name, s)
		return engine.Told{}, false
	case kind == "ssm", kind == "secretsmanager", strings.HasPrefix(s, "arn:aws"):
		t.errorf(expr.Range(), "%s: flow itself sends messages, and reads their secrets from its environment, a file or a sensitive variable: \"env:NAME\", \"file:PATH\", var.<name>.", a.name)
		return engine.Told{}, false
	case s == "":
		t.errorf(expr.Range(), "%s is empty.", a.name)
		return engine.Told{}, false
	}
	return engine.Told{Text: s}, true
}
