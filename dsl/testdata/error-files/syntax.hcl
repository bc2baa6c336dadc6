step "a" {
  command = ["x"
  timeout = "1h" # ERROR: Missing item separator
}
step "b" {
  script = <<-SH
    echo ${f%.bam} # ERROR: Invalid expression in a script
  SH
  timeout = 1 +  # ERROR: Invalid expression
  image   = "a b" # ERROR: Unsuitable value
}
step "c" {
  command = ["x", step.a.outputs.y, step.e.outputs.y]
}
step "d" {
  commnad = ["x"] # ERROR: Unsupported argument
}
step "e" # ERROR: Invalid block definition
{
  command = ["x"]
}
step "f" {
  command = ["x"]
  image   = "a # ERROR: Invalid multi-line string | closing quote
  timeout = "1h"
}
step "g" {
  script = 'echo' # ERROR: Invalid character | Use double quotes
}
step "h" {
  script = "echo "$f"" # ERROR: Invalid character | inside of one is written \"
}
