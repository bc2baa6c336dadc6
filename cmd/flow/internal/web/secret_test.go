package web

import (
	"go/ast"
	"go/parser"
	"go/token"
	"net/http"
	"strings"
	"testing"
)

// TestCookies says which cookies are taken, and how they are set.
func TestCookies(t *testing.T) {
	t.Parallel()
	_, server, s := serveBoard(t, func(o *Options) { o.Secure = true })
	name, value := s.guard.cookie, s.guard.cookieVal
	other, err := newGuard(&Options{Token: testToken, Port: 81})
	if err != nil || other.cookie == name {
		t.Errorf("a server on another port has the cookie %s as well (%v)", name, err)
	}
	for cookie, want := range map[string]int{
		name + "=" + value:                            200,
		name + "=evil; " + name + "=" + value:         200, // a server on another port has set one, too
		name + "=" + value + "; " + name + "=evil":    200,
		name + "=" + value + "x":                      401,
		name + "=":                                    401,
		name + "x=" + value:                           401,
		strings.ToUpper(name) + "=" + value:           401,
		name + "=" + s.guard.formToken:                401,
		name + "=" + derived(testToken+"x", "cookie"): 401,
	} {
		res, _ := ask(t, server.Client(), "GET", server.URL+"/", "", "Cookie", cookie)
		if res.StatusCode != want {
			t.Errorf("%s: %d, want %d", cookie, res.StatusCode, want)
		}
		if res.Close != (want != 200) {
			t.Errorf("%s: the connection is closed: %v", cookie, res.Close)
		}
	}
	res, _ := ask(t, server.Client(), "GET", server.URL+"/?token="+testToken, "")
	c := res.Cookies()
	if len(c) != 1 || !c[0].Secure || !c[0].HttpOnly || c[0].SameSite != http.SameSiteStrictMode || c[0].Path != "/" || c[0].Domain != "" || strings.Contains(c[0].Value, testToken) {
		t.Errorf("the cookie is %v", c)
	}
	if res.Header.Get("Strict-Transport-Security") == "" {
		t.Error("browsers may come without TLS")
	}
	if got := res.Header.Get("Referrer-Policy"); got != "no-referrer" || res.Header.Get("Cache-Control") != "no-store" {
		t.Errorf("the redirect is told or kept: %q", res.Header)
	}
}

// TestConstantTime says that what is secret is compared by subtle.ConstantTimeCompare, whose time
// tells nothing, and by nothing else in guard.go.
func TestConstantTime(t *testing.T) {
	t.Parallel()
	file, err := parser.ParseFile(token.NewFileSet(), "guard.go", nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	compared := map[string]bool{} // functions that do
	secret := func(e ast.Expr) bool {
		found := false
		ast.Inspect(e, func(n ast.Node) bool {
			if id, ok := n.(*ast.Ident); ok {
				switch id.Name {
				case "token", "cookieVal", "formToken", "Value", "bearer", "sum":
					found = true
				}
			}
			return !found
		})
		return found
	}
	for _, d := range file.Decls {
		f, ok := d.(*ast.FuncDecl)
		if !ok {
			continue
		}
		ast.Inspect(f, func(n ast.Node) bool {
			switch n := n.(type) {
			case *ast.BinaryExpr:
				if _, call := n.X.(*ast.CallExpr); (n.Op == token.EQL || n.Op == token.NEQ) && !call && (secret(n.X) || secret(n.Y)) {
					t.Errorf("%s compares a secret with %s", f.Name.Name, n.Op)
				}
			case *ast.CallExpr:
				if s, ok := n.Fun.(*ast.SelectorExpr); ok && s.Sel.Name == "ConstantTimeCompare" {
					compared[f.Name.Name] = true
				} else if ok && (s.Sel.Name == "Equal" || s.Sel.Name == "EqualFold" || s.Sel.Name == "Compare") {
					t.Errorf("%s compares with %s", f.Name.Name, s.Sel.Name)
				}
			}
			return true
		})
	}
	if !compared["same"] || !compared["right"] {
		t.Errorf("only %v compare in constant time", compared)
	}
}
