package browsertest

import (
	"bytes"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/chromedp/chromedp"
)

func TestMain(m *testing.M) { os.Exit(Main(m).Run()) }

const policy = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' data:"

// pages are what the tests look at: / is well, and /bad is not.
func pages(t *testing.T) string {
	mux := http.NewServeMux()
	page := func(path, body string) {
		mux.HandleFunc(path, func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Security-Policy", policy)
			fmt.Fprintf(w, "<!doctype html><html lang=en><head><title>A page</title><link rel=icon href='data:,'><link rel=stylesheet href=/s.css></head><body><main><h1>Runs</h1>%s</main></body></html>", body)
		})
	}
	page("/{$}", `<p>all is well</p><button>press</button><script type=module src=/ok.js></script>`)
	page("/bad", `<p class=faint>hard to read</p><img src=http://192.0.2.1/x.png><script>1</script><script type=module src=/bad.js></script><input>`)
	file := func(path, kind, text string) {
		mux.HandleFunc(path, func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", kind)
			fmt.Fprint(w, text)
		})
	}
	file("/s.css", "text/css", `
.faint { color: #ccc; background: #fff }
@media (prefers-color-scheme: dark) { body { background: #111; color: #eee } }`)
	file("/ok.js", "text/javascript", `
document.querySelector("button").onclick = () => { document.querySelector("p").textContent = "pressed" }`)
	file("/bad.js", "text/javascript", `
console.error("told", 7); fetch("/missing"); setTimeout(() => { window.last = true; undefined.x }, 0)`)
	server := httptest.NewServer(mux)
	t.Cleanup(server.Close)
	return server.URL
}

func TestGoodPage(t *testing.T) {
	t.Setenv("FLOW_ARTIFACTS", t.TempDir())
	tab := Open(t)
	tab.Go(pages(t) + "/")
	if got := tab.Text("p"); got != "all is well" {
		t.Errorf("the page says %q", got)
	}
	tab.Click("button")
	tab.Wait(`document.querySelector("p").textContent === "pressed"`)
	if got := Get(tab, chromedp.Title()); got != "A page" {
		t.Errorf("the title is %q", got)
	}
	tab.Inspect("page")
	var shots [][]byte
	for _, name := range []string{"dark-400", "light-1280"} {
		png, err := os.ReadFile(filepath.Join(Artifacts(), "page-"+name+".png"))
		if err != nil {
			t.Fatal(err)
		}
		shots = append(shots, png)
	}
	for i := range shots {
		if slices.ContainsFunc(shots[i+1:], func(other []byte) bool { return bytes.Equal(shots[i], other) }) {
			t.Errorf("picture %d is like another", i)
		}
	}
}

// A silent T keeps what a test would have reported.
type silent struct {
	testing.TB
	said []string
}

func (s *silent) Helper()                      {}
func (s *silent) Logf(string, ...any)          {}
func (s *silent) Errorf(f string, args ...any) { s.said = append(s.said, fmt.Sprintf(f, args...)) }

// wants fails the test if none of the lines has want in it.
func wants(t *testing.T, lines []string, want string) {
	t.Helper()
	if !slices.ContainsFunc(lines, func(line string) bool { return strings.Contains(line, want) }) {
		t.Errorf("nothing says %q:\n%s", want, strings.Join(lines, "\n"))
	}
}

func TestBadPageIsFoundOut(t *testing.T) {
	tab := Open(t)
	base := pages(t)
	tab.Go(base + "/bad")
	tab.Wait("window.last")
	s := &silent{TB: t}
	tab.t = s
	tab.Accessible()
	tab.t = t
	wants(t, s.said, "color-contrast")
	wants(t, s.said, "label")
	wants(t, s.said, "image-alt")
	problems := tab.Problems()
	for _, want := range []string{
		`console.error: "told" 7`,
		"exception: TypeError",
		"404 for " + base + "/missing",
		"a request to another origin: http://192.0.2.1/x.png",
		"security: ", // the script inside of the page
	} {
		wants(t, problems, want)
	}
	tab.Forgive("/missing")
	tab.Do(chromedp.Evaluate[chromedp.Void](`fetch("/missing").then(() => { window.again = true }); void 0`))
	tab.Wait("window.again")
	if got := tab.Problems(); got != nil {
		t.Errorf("it was forgiven, and yet: %q", got)
	}
}
