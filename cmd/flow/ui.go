package main

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"html"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"syscall"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"flow/cmd/flow/internal/page"
	"flow/cmd/flow/internal/web"
	"flow/state"
)

// webFlags are the flags of the commands that serve pages.
type webFlags struct {
	port      int
	listen    string
	tokenFile string
	url       string
}

// servedPort is where flow serve is unless told otherwise; flow ui takes any port.
const servedPort = 8650

func (f *webFlags) register(flags *pflag.FlagSet, port int) {
	flags.IntVar(&f.port, "port", port, "listen on `PORT`; 0 is any that is free")
	flags.StringVar(&f.listen, "listen", "127.0.0.1", "listen on `ADDRESS`, with a port or without; one that others can reach needs -token-file")
	flags.StringVar(&f.tokenFile, "token-file", "", "the token that browsers need is in `FILE`, which only you can read; made if it is not there (default: a new one each time)")
	flags.StringVar(&f.url, "url", "", "`URL` that browsers have for this server, if it is another one: https://flow.example.org behind a proxy")
	flags.SortFlags = false
}

func newUI(a *app) *cobra.Command {
	f := webFlags{}
	var noOpen bool
	cmd := &cobra.Command{
		Use:   "ui [RUN]",
		Short: "Look at runs in a browser",
		Long: `Serve pages about runs on this machine, and open them in a browser: all runs, or RUN. They
follow what happens, and can start, cancel and resume runs. Whoever has the link that is
printed can do so; nobody else can. The pages end with this command. Runs do not.

docs/ui.md says what the pages show, and how to serve them to others.`,
		Args:              args(0, 1),
		ValidArgsFunction: a.completeRuns,
		RunE: func(cmd *cobra.Command, argv []string) error {
			return a.ui(cmd, &f, strings.Join(argv, ""), !noOpen)
		},
	}
	f.register(cmd.Flags(), 0)
	cmd.Flags().BoolVar(&noOpen, "no-open", false, "do not open a browser")
	return cmd
}

func (a *app) ui(cmd *cobra.Command, f *webFlags, ref string, open bool) error {
	ctx := cmd.Context()
	s, err := a.openSite(cmd, f, slog.New(slog.DiscardHandler))
	if err != nil {
		return err
	}
	defer s.close()
	path := "/"
	if ref != "" {
		row, err := s.src.db().FindRun(ctx, ref)
		if err != nil {
			return err
		}
		path = page.RunURL(string(row.ID))
	}
	link := s.link(path)
	if err := a.tellLink(link, "the link is good until this ends; Ctrl-C ends it, and no run"); err != nil {
		return err
	}
	if open {
		defer openBrowser(link)()
	}
	return s.serve(ctx)
}

// tellLink says where the pages are: for programs on stdout, for people there as well, with until when.
func (a *app) tellLink(link, until string) error {
	if a.asJSON() {
		return a.printJSON(map[string]string{"url": link})
	}
	if _, err := fmt.Fprintln(a.stdout, link); err != nil {
		return err
	}
	a.say("%s", until)
	return nil
}

// openBrowser opens a link on the desktop, if there is one. It has a token, and everybody on
// the machine can read the arguments of programs: so it is in a file, which leads to it. forget
// removes that.
func openBrowser(link string) (forget func()) {
	name := "xdg-open"
	switch {
	case runtime.GOOS == "darwin":
		name = "open"
	case os.Getenv("DISPLAY") == "" && os.Getenv("WAYLAND_DISPLAY") == "", os.Getenv("SSH_CONNECTION") != "":
		return func() {}
	}
	path, err := privateFile("flow.html", []byte(leadTo(link)))
	if err != nil {
		return func() {} // the link was printed
	}
	cmd := exec.Command(name, path)
	if cmd.Start() == nil {
		go func() { _ = cmd.Wait() }()
	}
	return func() { _ = os.RemoveAll(filepath.Dir(path)) }
}

// leadTo is a page that leads to a link of ours.
func leadTo(link string) string {
	link = html.EscapeString(link)
	return `<!doctype html><html lang="en"><meta charset="utf-8"><meta name="referrer" content="no-referrer"><meta http-equiv="refresh" content="0;url=` + link + `"><title>flow</title><a href="` + link + `">flow</a></html>` + "\n"
}

// A served is a site that listens.
type served struct {
	*site
	listener net.Listener
	server   *web.Server
	base     string // URL of it, without the / at the end
	token    string
	// written is the state for what is recorded here: what jobs have done, and that notices were
	// sent. nil: others cannot use the file meanwhile, or it cannot be written.
	written *state.DB
	letters *courier // nil: without written there is none
}

// openSite listens, as flags say.
func (a *app) openSite(cmd *cobra.Command, f *webFlags, log *slog.Logger) (*served, error) {
	at, err := f.address(cmd)
	if err != nil {
		return nil, err
	}
	token, err := f.token()
	if err != nil {
		return nil, err
	}
	src, err := a.openSource()
	if err != nil {
		return nil, err
	}
	s := &served{site: &site{app: a, src: src}, token: token}
	s.openWritten(log)
	if err := s.listen(cmd, f, at, log); err != nil {
		return nil, errors.Join(err, s.close())
	}
	return s, nil
}

func (s *served) listen(cmd *cobra.Command, f *webFlags, at string, log *slog.Logger) (err error) {
	if s.listener, err = net.Listen("tcp", at); err != nil {
		if errors.Is(err, syscall.EADDRINUSE) {
			return fmt.Errorf("cannot listen on %s, where another program does, maybe another flow: give another -port, or 0 for any that is free", at)
		}
		return fmt.Errorf("cannot listen on %s: %w", at, err)
	}
	addr := s.listener.Addr().(*net.TCPAddr)
	o := web.Options{Routes: s.routes(), Shell: s.shell(), Assets: s.assets(), Token: s.token, Port: addr.Port, Hosts: hostsOf(addr), Log: log}
	s.base = "http://" + o.Hosts[0]
	if addr.IP.IsUnspecified() {
		s.base = fmt.Sprintf("http://127.0.0.1:%d", addr.Port)
	}
	if f.url != "" {
		u, err := url.Parse(f.url)
		if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" || strings.Trim(u.Path, "/") != "" {
			return errUsage(cmd.CommandPath(), "-url %q: write the URL of the whole server, such as https://flow.example.org", f.url)
		}
		s.base, o.Secure = u.Scheme+"://"+u.Host, u.Scheme == "https"
		o.Hosts, o.Origins = append(o.Hosts, u.Host), append(o.Origins, s.base)
	}
	s.server, err = web.New(o)
	return err
}

// hostsOf are the names by which browsers may know a listener; the first is its own.
func hostsOf(addr *net.TCPAddr) []string {
	port := fmt.Sprint(addr.Port)
	own := net.JoinHostPort(addr.IP.String(), port)
	switch {
	case addr.IP.IsUnspecified():
		return []string{"", "localhost:" + port}
	case addr.IP.IsLoopback():
		return []string{own, "localhost:" + port, "127.0.0.1:" + port, "[::1]:" + port}
	}
	return []string{own}
}

// link is the URL of a page, with the token.
func (s *served) link(path string) string {
	return s.base + path + "?" + url.Values{web.TokenField: {s.token}}.Encode()
}

// openWritten opens the state to be written, unless it would be kept from others that long.
func (s *served) openWritten(log *slog.Logger) {
	db, err := s.openState(false)
	switch {
	case err != nil:
		log.Warn("the state cannot be written: runs on AWS Batch are not looked at, and no notice is sent", "error", err)
	case db.Network() != "":
		_ = db.Close()
		log.Warn("the state is on a network file system: notices are left to other commands", "file system", db.Network())
	default:
		s.written = db
		s.letters = s.newCourier(db, func(text string) { log.Warn(text) })
	}
	s.looks = newLooks(s.src, s.written)
	if s.letters != nil {
		s.looks.recorded = s.letters.hurry
	}
}

// serve answers until ctx ends, and sends notices that are due meanwhile.
func (s *served) serve(ctx context.Context) error {
	patience, hurry := context.WithCancel(context.WithoutCancel(ctx))
	var sending sync.WaitGroup
	if s.letters != nil {
		sending.Go(func() { s.letters.loop(patience, ctx) })
	}
	err := s.server.Serve(ctx, s.listener)
	hurry()
	sending.Wait()
	if errors.Is(err, http.ErrServerClosed) {
		err = nil
	}
	return err
}

func (s *served) close() error {
	if s.listener != nil {
		_ = s.listener.Close() // again, if it was served
	}
	s.looks.close()
	var err error
	if s.written != nil {
		err = s.written.Close()
	}
	return errors.Join(err, s.src.close())
}

// address returns where to listen. What others can reach needs a token that does not end up
// in the output of a command.
func (f *webFlags) address(cmd *cobra.Command) (string, error) {
	host, port, err := net.SplitHostPort(f.listen)
	if err != nil {
		host, port = strings.Trim(f.listen, "[]"), fmt.Sprint(f.port)
	} else if cmd.Flags().Changed("port") {
		return "", errUsage(cmd.CommandPath(), "-listen %s has a port, and so has -port: give one of them", f.listen)
	}
	ips, err := net.LookupIP(cmp.Or(host, "0.0.0.0"))
	if err != nil {
		return "", errUsage(cmd.CommandPath(), "-listen %q is no address: %w", f.listen, err)
	}
	for _, ip := range ips {
		if !ip.IsLoopback() && f.tokenFile == "" {
			return "", errUsage(cmd.CommandPath(), "-listen %s: others can reach that address, and could run commands here; give -token-file FILE, too", f.listen)
		}
	}
	return net.JoinHostPort(host, port), nil
}

// token reads the token, or makes one.
func (f *webFlags) token() (string, error) {
	if f.tokenFile == "" {
		return rand.Text(), nil
	}
	return tokenIn(f.tokenFile)
}

// shortestToken is what a token in a file must have of characters.
const shortestToken = 16

// tokenIn reads the token in a file that nobody else can read, and makes it first if it is
// not there.
func tokenIn(path string) (string, error) {
	made, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err == nil {
		_, err = made.WriteString(rand.Text() + "\n")
		if err = errors.Join(err, made.Close()); err != nil {
			return "", fmt.Errorf("-token-file: %w", err)
		}
	}
	file, err := os.Open(path)
	if err != nil {
		return "", fmt.Errorf("-token-file: %w", err)
	}
	defer file.Close()
	info, err := file.Stat()
	if err != nil {
		return "", fmt.Errorf("-token-file: %w", err)
	}
	if mode := info.Mode(); !mode.IsRegular() || mode.Perm()&0o077 != 0 {
		return "", fmt.Errorf("-token-file %s: others can read it (its mode is %04o): chmod 600 it, after a new token was put there", path, mode.Perm())
	}
	if owner, ok := info.Sys().(*syscall.Stat_t); ok && int(owner.Uid) != os.Geteuid() {
		return "", fmt.Errorf("-token-file %s: it is the file of another user, who knows the token: use one of your own", path)
	}
	data, err := io.ReadAll(io.LimitReader(file, 4096))
	if err != nil {
		return "", fmt.Errorf("-token-file: %w", err)
	}
	token := strings.TrimSpace(string(data))
	if len(token) < shortestToken || strings.ContainsAny(token, " \t\r\n") {
		return "", fmt.Errorf("-token-file %s: a token is one line of %d characters at least, without spaces; remove the file to have one made", path, shortestToken)
	}
	return token, nil
}
