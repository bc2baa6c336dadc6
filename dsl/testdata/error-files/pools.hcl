pool "db" { slots = 4 }
pool "db" { slots = 2 } # ERROR: Duplicate pool | There is already a pool "db", at pools.hcl:1
pool "none" {} # ERROR: Missing required argument | slots
pool "zero" { slots = 0 } # ERROR: Unsuitable value | a whole number from 1 to 1000000
pool "half" { slots = 1.5 } # ERROR: Unsuitable value | a whole number from 1 to 1000000
pool "more" {
  slots = 1
  total = 2 # ERROR: Unsupported argument | total
}
pool "späť" { slots = 1 } # ERROR: Unsuitable value | 1 to 128 letters
pool "twice" { slots = 1 }
consumable_resource "twice" { # ERROR: Duplicate name | there is one consumable resource "twice"
  total_quantity = 2
}
pool "a" { slots = 1 }
pool "b" { slots = 1 }
pool "c" { slots = 1 }
pool "d" { slots = 1 }
pool "e" { slots = 1 }

workflow "w" {
  defaults { pools = { dbs = 1 } } # ERROR: Unsuitable value | There is no pool "dbs". Did you mean "db"?
}

step "far" {
  command = ["x"]
  pools   = { zzzzzzz = 1 } # ERROR: Unsuitable value | There are db,
}
step "much" {
  command = ["x"]
  pools   = { db = 5 } # ERROR: Unsuitable value | wait for ever, since there are only 4
}
step "nothing" {
  command = ["x"]
  pools   = { db = 0 } # ERROR: Unsuitable value | a whole number of at least 1
}
step "list" {
  command = ["x"]
  pools   = ["db"] # ERROR: Unsuitable value | map
}
step "other" {
  command              = ["x"]
  consumable_resources = { db = 1 } # ERROR: Unsuitable value | db is a pool. Write: pools = { db = 1 }
}
step "many" {
  command              = ["x"]
  consumable_resources = { x = 1, y = 1 }
  pools                = { a = 1, b = 1, c = 1, d = 1 } # ERROR: Unsuitable value | There are 6 pools and consumable resources together; AWS Batch takes 5
}
step "refers" {
  command = ["x"]
  pools   = { db = each.value } # ERROR: Reference not allowed here | each
}
