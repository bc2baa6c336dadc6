// Package dsl turns HCL bytes into a validated [engine.Workflow], or into diagnostics.
//
// A workflow goes one way through it:
//
//	Read -> []Source                     files of a workflow, as bytes
//	Load -> *Program, diagnostics        parse, decode, resolve, validate: no values needed
//	Program.Bind -> *Template            with the values of variables
//	Template.Expand -> tasks of a step   with what is known of a run
//
// Load has these phases, each of which goes on after mistakes, so that all of them come
// in one pass: guard and parse (load.go, guard.go, recover.go), decode blocks into
// configs after the tables of schema.go (decode*.go), find references, edges and cycles
// (refs.go, resolve.go), evaluate everything with unknown values of the right types
// (validate.go, unknown.go). A name that does not exist is told once, and stands for an
// unknown value from then on, so that one mistake is one error.
//
// The same code (task.go, fanout.go) checks a step while validating and makes the specs
// of its tasks in a run; only the values differ. In a run they come from an
// [engine.Scope] (scope.go).
//
// Sites, which say where a workflow runs, are read apart from it (site.go).
//
// The language is described in docs/language.md.
package dsl
