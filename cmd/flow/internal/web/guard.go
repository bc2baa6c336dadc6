package web

import (
	"crypto/hmac"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"errors"
	"fmt"
	"mime"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"strings"

	g "maragu.dev/gomponents"
	h "maragu.dev/gomponents/html"
)

const (
	loginPath  = "/login"
	healthPath = "/healthz"
)

// policy is the content security policy of pages: everything is from here, nothing is inline.
const policy = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"

// A guard decides who is answered.
type guard struct {
	hosts     []string // lower case
	anyIP     bool     // with port
	port      string
	token     [32]byte // hash of the token
	cookie    string   // name
	secure    bool
	formToken string // derived from the token, which it does not tell
	cookieVal string // likewise
	origin    *http.CrossOriginProtection
}

func newGuard(o *Options) (*guard, error) {
	g := &guard{
		token: sha256.Sum256([]byte(o.Token)), port: strconv.Itoa(o.Port), secure: o.Secure,
		cookie: "flow-" + strconv.Itoa(o.Port), formToken: derived(o.Token, "form"), cookieVal: derived(o.Token, "cookie"),
		origin: http.NewCrossOriginProtection(),
	}
	for _, host := range o.Hosts {
		if host == "" {
			g.anyIP = true
			continue
		}
		g.hosts = append(g.hosts, strings.ToLower(host))
	}
	for _, origin := range o.Origins {
		if err := g.origin.AddTrustedOrigin(origin); err != nil {
			return nil, fmt.Errorf("%s: %w", origin, err)
		}
	}
	return g, nil
}

// derived is a value that nobody can make who does not know the token, and that does not
// tell it.
func derived(token, what string) string {
	m := hmac.New(sha256.New, []byte(token))
	m.Write([]byte("flow web " + what))
	return hex.EncodeToString(m.Sum(nil))
}

func same(a, b string) bool {
	x, y := sha256.Sum256([]byte(a)), sha256.Sum256([]byte(b))
	return subtle.ConstantTimeCompare(x[:], y[:]) == 1
}

// wrap answers only those who may ask.
func (g *guard) wrap(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		g.harden(w.Header())
		status, err := g.check(w, r)
		if status != 0 || r.URL.Path == healthPath {
			w.Header().Set("Connection", "close") // those who may not ask keep no connection from those who may
		}
		switch {
		case status == http.StatusUnauthorized:
			g.askToken(w, r)
		case status != 0:
			http.Error(w, err.Error(), status)
		case g.takeToken(w, r):
		default:
			next.ServeHTTP(w, r)
		}
	})
}

func (g *guard) harden(h http.Header) {
	h.Set("Content-Security-Policy", policy)
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("X-Frame-Options", "DENY")
	h.Set("Cross-Origin-Opener-Policy", "same-origin")
	h.Set("Cross-Origin-Resource-Policy", "same-origin")
	h.Set("Cache-Control", "no-store")
	if g.secure {
		h.Set("Strict-Transport-Security", "max-age=31536000")
	}
}

// check returns why a request is refused; 0: it is not.
func (g *guard) check(w http.ResponseWriter, r *http.Request) (int, error) {
	if !g.ours(r.Host) {
		return http.StatusMisdirectedRequest, errors.New("flow is not known by this name here; see --url of flow serve")
	}
	if len(r.RequestURI) > maxURL {
		return http.StatusRequestURITooLong, errors.New("the URL is too long")
	}
	if err := checkPath(r.URL); err != nil {
		return http.StatusBadRequest, err
	}
	switch r.Method {
	case http.MethodGet, http.MethodHead, http.MethodPost:
	default:
		w.Header().Set("Allow", "GET, HEAD, POST")
		return http.StatusMethodNotAllowed, errors.New("only GET, HEAD and POST")
	}
	if r.URL.Path == healthPath {
		return 0, nil
	}
	if r.Method == http.MethodPost {
		return g.checkPost(w, r)
	}
	if !g.known(r) {
		return http.StatusUnauthorized, nil
	}
	return 0, nil
}

// ours reports whether a Host header names this server. A page of somebody else whose name
// leads here does not: a browser would let it read what we answer.
func (g *guard) ours(host string) bool {
	if slices.Contains(g.hosts, strings.ToLower(host)) {
		return true
	}
	if !g.anyIP {
		return false
	}
	name, port, err := net.SplitHostPort(host)
	if err != nil || port != g.port {
		return false
	}
	_, err = netip.ParseAddr(name)
	return err == nil
}

// checkPath refuses paths that no page of ours has, however they are written.
func checkPath(u *url.URL) error {
	for part := range strings.SplitSeq(u.EscapedPath(), "/") {
		text, err := url.PathUnescape(part)
		if err != nil || strings.ContainsFunc(text, func(c rune) bool { return c < ' ' || c == 0x7f || c == 0xfffd }) {
			return errors.New("the path has characters that no name has")
		}
		if text = strings.ReplaceAll(text, `\`, "/"); slices.ContainsFunc(strings.Split(text, "/"), func(s string) bool { return s == ".." || s == "." }) {
			return errors.New("the path leads elsewhere")
		}
	}
	return nil
}

// known reports whether the token comes with a request where it may: in the cookie, as a
// bearer, or once in the URL of a page that is opened.
func (g *guard) known(r *http.Request) bool {
	if bearer, ok := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer "); ok {
		return g.right(bearer)
	}
	// A server of somebody else on another port of this host may have set cookies of that name, too.
	if slices.ContainsFunc(r.CookiesNamed(g.cookie), func(c *http.Cookie) bool { return same(c.Value, g.cookieVal) }) {
		return true
	}
	return g.inURL(r)
}

func (g *guard) right(token string) bool {
	sum := sha256.Sum256([]byte(token))
	return subtle.ConstantTimeCompare(sum[:], g.token[:]) == 1
}

// inURL reports whether the token is in the URL of a page that is opened.
func (g *guard) inURL(r *http.Request) bool {
	if r.Method != http.MethodGet || strings.HasPrefix(r.URL.Path, apiPath) || strings.HasPrefix(r.URL.Path, "/assets/") || r.URL.Path == livePath {
		return false
	}
	q := r.URL.Query()
	return len(q[TokenField]) == 1 && g.right(q.Get(TokenField))
}

// takeToken makes a cookie of the token in a URL, and has the browser ask again without it.
func (g *guard) takeToken(w http.ResponseWriter, r *http.Request) bool {
	if !g.inURL(r) {
		return false
	}
	g.setCookie(w)
	q := r.URL.Query()
	q.Del(TokenField)
	to := url.URL{Path: "/" + strings.TrimLeft(r.URL.Path, "/"), RawPath: "/" + strings.TrimLeft(r.URL.EscapedPath(), "/"), RawQuery: q.Encode()}
	http.Redirect(w, r, to.String(), http.StatusSeeOther)
	return true
}

func (g *guard) setCookie(w http.ResponseWriter) {
	http.SetCookie(w, &http.Cookie{Name: g.cookie, Value: g.cookieVal, Path: "/", HttpOnly: true, Secure: g.secure, SameSite: http.SameSiteStrictMode})
}

// checkPost refuses forms that are none of ours.
func (g *guard) checkPost(w http.ResponseWriter, r *http.Request) (int, error) {
	if err := g.origin.Check(r); err != nil {
		return http.StatusForbidden, errors.New("this form comes from another site")
	}
	login := r.URL.Path == loginPath
	if !login && !g.known(r) {
		return http.StatusUnauthorized, nil
	}
	if kind, _, err := mime.ParseMediaType(r.Header.Get("Content-Type")); err != nil || kind != "application/x-www-form-urlencoded" {
		return http.StatusUnsupportedMediaType, errors.New("forms are application/x-www-form-urlencoded")
	}
	r.Body = http.MaxBytesReader(w, r.Body, maxForm)
	if err := r.ParseForm(); err != nil {
		if errors.As(err, new(*http.MaxBytesError)) {
			return http.StatusRequestEntityTooLarge, errors.New("the form is too large")
		}
		return http.StatusBadRequest, errors.New("the form cannot be read")
	}
	if !login && !same(r.PostForm.Get(TokenField), g.formToken) {
		return http.StatusForbidden, errors.New("this form is not of a page of this server any more: open the page again")
	}
	return 0, nil
}

// askToken says that the token is missing, and lets a person enter it.
func (g *guard) askToken(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("WWW-Authenticate", `Bearer realm="flow"`)
	if r.Method != http.MethodGet || strings.HasPrefix(r.URL.Path, apiPath) || strings.HasPrefix(r.URL.Path, "/assets/") || r.URL.Path == livePath {
		http.Error(w, "the token is missing, or is another one: Authorization: Bearer TOKEN", http.StatusUnauthorized)
		return
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.WriteHeader(http.StatusUnauthorized)
	if r.Header.Get("Sec-Fetch-Site") == "cross-site" {
		// The browser kept the cookie back, since a page of another site has the link. It has no
		// reason to when our own page asks.
		_ = againPage().Render(w)
		return
	}
	_ = loginPage(pageURL(r.URL)).Render(w)
}

func againPage() g.Node {
	return h.Doctype(h.HTML(h.Lang("en"), h.Head(h.Meta(h.Charset("utf-8")), h.TitleEl(g.Text("flow")),
		h.Meta(g.Attr("http-equiv", "refresh"), h.Content("0"))), h.Body(h.P(g.Text("One moment.")))))
}

func loginPage(to string) g.Node {
	if i := strings.Index(to, "?"); i >= 0 {
		to = to[:i] // it may have a token that is wrong
	}
	return h.Doctype(h.HTML(h.Lang("en"),
		h.Head(h.Meta(h.Charset("utf-8")), h.Meta(h.Name("viewport"), h.Content("width=device-width, initial-scale=1")), h.TitleEl(g.Text("flow"))),
		h.Body(h.Main(
			h.H1(g.Text("flow")),
			h.P(g.Text("Open the link that flow ui or flow serve printed, or enter the token that is in it.")),
			h.Form(h.Method("post"), h.Action(loginPath),
				h.Input(h.Type("hidden"), h.Name("to"), h.Value(to)),
				h.Label(h.For("token"), g.Text("Token")), g.Text(" "),
				h.Input(h.Type("password"), h.ID("token"), h.Name(TokenField), h.AutoComplete("off"), h.Required()), g.Text(" "),
				h.Button(h.Type("submit"), g.Text("Open"))),
		)),
	))
}

// login makes a cookie of a token that was entered.
func (g *guard) login(w http.ResponseWriter, r *http.Request) {
	if !g.right(strings.TrimSpace(r.PostForm.Get(TokenField))) {
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		w.WriteHeader(http.StatusUnauthorized)
		_ = loginPage(r.PostForm.Get("to")).Render(w)
		return
	}
	g.setCookie(w)
	to, err := url.Parse(r.PostForm.Get("to"))
	if err != nil || to.Host != "" || to.Scheme != "" || !strings.HasPrefix(to.Path, "/") || strings.HasPrefix(to.Path, "//") || strings.Contains(to.Path, `\`) {
		to = &url.URL{Path: "/"}
	}
	http.Redirect(w, r, to.String(), http.StatusSeeOther)
}

// health answers who asks whether the server is there.
func health(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	_, _ = w.Write([]byte("ok\n"))
}
