step "new" { command = ["x"] }
step "there" { command = ["x"] }
step "uses" { command = ["x", step.older.outputs.a] } # ERROR: Reference to undeclared step | It is step.new now
moved {
  from = step.old
  to   = step.new
}
moved {
  from = step.older
  to   = step.old
}
moved {
  from = step.there # ERROR: Step is still there | moved.hcl:2
  to   = step.new
}
moved {
  from = step.old # ERROR: Moved twice | moved.hcl:4
  to   = step.there
}
moved {
  from = step.other
  to   = step.new # ERROR: Moved twice | results of step "old" already
}
moved {
  from = step.gone
  to   = step.thre # ERROR: Reference to undeclared step | Did you mean "there"?
}
moved { # ERROR: Nothing is moved
  from = step.same
  to   = step.same
}
moved { # ERROR: Moved in a circle
  from = step.round
  to   = step.about
}
moved {
  from = step.about
  to   = step.round
}
moved { # ERROR: Missing required argument | from = step.old and to = step.new
  from = step.lonely
}
moved {
  from = "step.text" # ERROR: Unsuitable value | as a reference
  to   = step.there.outputs # ERROR: Unsuitable value | as a whole
}
moved {
  from = step.x
  to   = step.there
  frm  = step.y # ERROR: Unsupported argument
}
