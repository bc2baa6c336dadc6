// Package page has the pages about runs: what each one shows, as plain structs, and the HTML
// of it. It does no I/O, and is what the web server and the report are made of.
//
// A page can be read without scripts. What has a state says so in a word, not in colour only.
// Everything shown is text to gomponents, which escapes it; g.Raw is for SVG of package draw
// alone.
package page
