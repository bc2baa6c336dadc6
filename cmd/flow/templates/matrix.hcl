# One task for every combination of some values. Try it:
#
#   flow plan NAME.hcl
#   flow run NAME.hcl -var text=/etc/services

workflow "NAME" {
  description = "Compress one file in every way, and compare"
  defaults {
    retry { attempts = 2 }
  }
}

variable "text" {
  type        = string
  default     = "/etc/services"
  description = "The file to compress"
}

step "compress" {
  matrix {
    tool  = ["gzip", "bzip2"]
    level = [1, 9]
    exclude {
      tool  = "bzip2"
      level = 1
    }
  }
  inputs = { text = var.text }
  env    = { TOOL = each.value.tool, LEVEL = each.value.level }
  script = <<-SH
    "$TOOL" -c "-$LEVEL" < "$text" > "$packed"
  SH
  output "packed" { file = "${each.key}.packed" }
}

step "compare" {
  inputs = { packed = step.compress.outputs.packed }
  script = <<-SH
    wc -c "$packed"/* | tee "$sizes"
  SH
  output "sizes" { file = "sizes.txt" }
}

output "sizes" { value = step.compare.outputs.sizes }
